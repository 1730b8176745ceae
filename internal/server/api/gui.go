package api

import "net/http"

// guiPath is where Kuma has its page; GET / names it.
const guiPath = "/gui"

// guiPage stands where a page in the browser would be.
const guiPage = `<!doctype html>
<meta charset="utf-8">
<title>kumactl</title>
<p>This control plane has no page for the browser. Ask it with <code>kumactl get meshes</code>, <code>kumactl inspect dataplanes</code>.
`

// serveGUI answers everything below /gui with one small page, so that links of other tools end somewhere.
func serveGUI(c *call) {
	if c.r.URL.Path == guiPath {
		http.Redirect(c, c.r, guiPath+"/", http.StatusTemporaryRedirect)
		return
	}
	c.Header().Set("Content-Type", "text/html; charset=utf-8")
	write(c, http.StatusOK, []byte(guiPage))
}
