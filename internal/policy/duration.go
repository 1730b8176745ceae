package policy

import (
	"encoding/json"
	"time"

	"github.com/kumactl/kumactl/internal/resource"
)

// Duration is a length of time as policies write it: text in Go's form (`1m30s`) both ways.
type Duration struct{ time.Duration }

// Shape of its JSON.
func (Duration) Shape() resource.FieldType { return resource.TypeString }

// UnmarshalJSON reads Go's form; the text of the error is the one of time.ParseDuration.
func (d *Duration) UnmarshalJSON(raw []byte) (err error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	d.Duration, err = time.ParseDuration(text)
	return err
}

// MarshalJSON writes Go's form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }
