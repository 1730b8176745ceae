package main

import "github.com/spf13/cobra"

func newRunCmd(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "run",
		Short: "Run a part of the mesh in the foreground",
	},
		newRunControlPlaneCmd(a),
		newRunDataplaneCmd(a),
	)
}
