package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/server"
)

func TestConfigLayers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cp.yaml")
	if err := os.WriteFile(file, []byte("apiServer:\n  http:\n    port: 7000\ndpServer:\n  port: 7001\nxdsServer:\n  dataplaneDeregistrationDelay: 3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, origins := server.DefaultConfig("/data"), server.Origins{}
	if err := c.ReadFile(file, origins); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadEnvironment([]string{"KUMA_DP_SERVER_PORT=8001", "KUMA_MULTIZONE_ZONE_NAME=edge", "KUMA_DEFAULTS_SKIP_MESH_CREATION=true"}, origins); err != nil {
		t.Fatal(err)
	}
	settings, err := c.Settings(origins)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range settings {
		got[s.Key] = s.Value + " from " + s.Origin
	}
	for key, want := range map[string]string{
		"apiServer.http.port":                    "7000 from file " + file,
		"apiServer.https.port":                   "5682 from default",
		"dpServer.port":                          "8001 from environment KUMA_DP_SERVER_PORT",
		"multizone.zone.name":                    "edge from environment KUMA_MULTIZONE_ZONE_NAME",
		"defaults.skipMeshCreation":              "true from environment KUMA_DEFAULTS_SKIP_MESH_CREATION",
		"xdsServer.dataplaneDeregistrationDelay": "3s from file " + file,
		"diagnostics.interface":                  "127.0.0.1 from default",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server.Config)
		fields []string
	}{
		"ports":             {func(c *server.Config) { c.DPServer.Port, c.APIServer.HTTP.Port = 70000, -2 }, []string{"apiServer.http.port", "dpServer.port"}},
		"an open data port": {func(c *server.Config) { c.DPServer.Interface = "0.0.0.0" }, []string{"dpServer.interface"}},
		"an unknown store":  {func(c *server.Config) { c.Store.Type = "postgres" }, []string{"store.type"}},
		"global":            {func(c *server.Config) { c.Mode = "global" }, []string{"mode"}},
		"half a key pair":   {func(c *server.Config) { c.General.TLSCertFile = "x" }, []string{"general"}},
		"no zone":           {func(c *server.Config) { c.Multizone.Zone.Name = "" }, []string{"multizone.zone.name"}},
		"no folder":         {func(c *server.Config) { c.DataDir = "" }, []string{"dataDir"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := server.DefaultConfig("/data")
			c.change(&config)
			p, ok := errors.AsType[*problem.Error](config.Validate())
			if !ok {
				t.Fatal("accepted")
			}
			var fields []string
			for _, v := range p.Violations {
				fields = append(fields, v.Field)
			}
			if diff := cmp.Diff(c.fields, fields); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConfigFileNamesUnknownKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cp.yaml")
	if err := os.WriteFile(file, []byte("apiServer:\n  htttp: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := server.DefaultConfig("/data")
	if err := c.ReadFile(file, server.Origins{}); err == nil || !strings.Contains(err.Error(), "htttp") {
		t.Errorf("got %v", err)
	}
}

func FuzzConfigEnvironment(f *testing.F) {
	f.Add("5681", "10s", "true")
	f.Fuzz(func(_ *testing.T, port, delay, skip string) {
		c := server.DefaultConfig("/data")
		if c.ReadEnvironment([]string{"KUMA_DP_SERVER_PORT=" + port, "KUMA_XDS_SERVER_DATAPLANE_DEREGISTRATION_DELAY=" + delay, "KUMA_DEFAULTS_SKIP_MESH_CREATION=" + skip}, server.Origins{}) == nil {
			_ = c.Validate()
		}
	})
}
