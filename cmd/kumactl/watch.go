package main

import (
	"context"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/render"
)

// watchAndDraw draws, and draws again whenever the control plane says that one of the kinds changed, until the context ends.
func watchAndDraw(ctx context.Context, c *client.Client, out render.Output, kinds []string, draw func(render.Output) error) error {
	live := render.NewLive(out)
	changes, err := c.Watch(ctx, kinds)
	if err != nil {
		return err
	}
	defer changes.Close()
	for {
		if err := live.Draw(draw); err != nil {
			return err
		}
		if err := changes.Next(ctx); err != nil {
			return err
		}
	}
}
