package render

import (
	"fmt"
	"strings"
)

// Node is one line of a tree, with what belongs to it below.
type Node struct {
	Text string
	// Note stands behind the text and matters less.
	Note string
	// Block is text of several lines that belongs to the node, such as YAML.
	Block    string
	Children []*Node
}

// Add puts a node below this one and returns it.
func (n *Node) Add(text, note string) *Node {
	child := &Node{Text: text, Note: note}
	n.Children = append(n.Children, child)
	return child
}

// Tree writes a node and all below it.
func (o Output) Tree(root *Node) error {
	return o.branch(root, "", "")
}

func (o Output) branch(n *Node, first, rest string) error {
	line := first + n.Text
	if first == "" {
		line = o.Bold(n.Text)
	}
	if n.Note != "" {
		line += "  " + o.Faint(n.Note)
	}
	if _, err := fmt.Fprintln(o.Out, line); err != nil {
		return err
	}
	beside := rest + "   "
	if len(n.Children) > 0 {
		beside = rest + "│  "
	}
	for text := range strings.Lines(n.Block) {
		if _, err := fmt.Fprintln(o.Out, beside+strings.TrimRight(text, "\n")); err != nil {
			return err
		}
	}
	for i, child := range n.Children {
		first, below := rest+"├─ ", rest+"│  "
		if i == len(n.Children)-1 {
			first, below = rest+"└─ ", rest+"   "
		}
		if err := o.branch(child, first, below); err != nil {
			return err
		}
	}
	return nil
}
