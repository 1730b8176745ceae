// Package kumapb holds the protobuf messages of the wire and of the disk, generated from the .proto
// files beside it by generate.sh. In come bytes or JSON (protojson), out come Go structs; nothing
// here validates or sets defaults.
//
//   - kuma.mesh.v1alpha1 and kuma.system.v1alpha1 are Kuma's: names and numbers of fields are those
//     of Kuma 2.14, for its zones, data planes and clients parse them.
//   - kumactl.store.v1 is the store's own form.
//
// All share one Go package, so a message whose name two of them use is renamed where the name does
// not cross the wire (ControlPlaneVersion).
package kumapb
