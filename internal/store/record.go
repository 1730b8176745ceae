package store

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// encodeRecord gives the bytes of a kumapb.Record.
func encodeRecord(r *resource.Resource) ([]byte, error) {
	spec, err := r.SpecBytes()
	if err != nil {
		return nil, err
	}
	status, err := r.StatusBytes()
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&kumapb.Record{
		Kind:     r.Kind.Name,
		Mesh:     r.Mesh,
		Name:     r.Name,
		Created:  timestamppb.New(r.Created),
		Modified: timestamppb.New(r.Modified),
		Labels:   r.Labels,
		Spec:     spec,
		Status:   status,
		Revision: r.Revision,
	})
}
