package render

import (
	"encoding/json"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"
)

// headKeys are the metadata of a resource.
func headKeys() []string {
	return []string{"type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri"}
}

// Item writes one resource as YAML or JSON. YAML has sorted keys; where the specification's fields are on the same level as the
// metadata, the metadata comes first.
func (o Output) Item(format Format, raw []byte, nested bool) error {
	if format == FormatJSON {
		return o.JSON(raw)
	}
	if nested {
		return o.YAML(raw)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("answer is no resource: %w", err)
	}
	head, spec := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for key, value := range all {
		if slices.Contains(headKeys(), key) {
			head[key] = value
		} else {
			spec[key] = value
		}
	}
	for _, part := range []map[string]json.RawMessage{head, spec} {
		if len(part) == 0 {
			continue
		}
		text, err := yaml.Marshal(part)
		if err != nil {
			return err
		}
		if _, err := o.Out.Write(text); err != nil {
			return err
		}
	}
	return nil
}
