package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// identity is who asks. The names are those of the peer's roles.
type identity struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

// adminName is both the administrator's name and group; who-am-i shows it, and clients of Kuma compare it.
const adminName = "mesh-system:admin"

func administrator() identity {
	return identity{adminName, []string{adminName, "mesh-system:authenticated"}}
}

// nobody is whoever did not say who they are. They may read what holds no secrets.
func nobody() identity {
	return identity{"mesh-system:anonymous", []string{"mesh-system:unauthenticated"}}
}

func (i identity) admin() bool { return i.Name == adminName }

// String is `name/group,group`, as errors show it.
func (i identity) String() string { return i.Name + "/" + strings.Join(i.Groups, ",") }

// identify says who asks: the administrator when the request comes from this machine or has the right token, else nobody in
// particular. A wrong token is an error.
func (a *API) identify(r *http.Request) (identity, error) {
	if !a.o.LocalIsNobody && fromHere(r) {
		return administrator(), nil
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		return nobody(), nil
	}
	given, right := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.o.AdminToken))
	if a.o.AdminToken == "" || subtle.ConstantTimeCompare(given[:], right[:]) != 1 {
		return identity{}, &problem.Error{Code: problem.Unauthenticated, Title: "Invalid authentication data", Detail: "Unauthenticated"} // wire: kumactl shows it
	}
	return administrator(), nil
}

// fromHere says whether a program on this machine sent the request, of its own will: from a loopback address, to a loopback
// name, through no proxy, and not for a web page of another origin (which is how a browser would be misused).
func fromHere(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !loopbackName(r.Host) {
		return false
	}
	for name := range r.Header {
		switch {
		case name == "Forwarded", name == "X-Real-Ip", name == "Via", strings.HasPrefix(name, "X-Forwarded-"):
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

// loopbackName says whether a Host header means this machine. A name that merely resolves to it does not count: that is how pages
// of other sites get to local servers (DNS rebinding).
func loopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// mayRead refuses kinds that hold secrets to all but the administrator.
func mayRead(who identity, k *resource.Kind) error {
	if !k.AdminOnly || who.admin() {
		return nil
	}
	return denied(who, k)
}

// mayWrite is the same for writes, and refuses all of them to nobody in particular unless the configuration is the peer's.
func (a *API) mayWrite(who identity, k *resource.Kind) error {
	switch {
	case who.admin(), a.o.CompatOpenAPI && !k.AdminOnly:
		return nil
	case k.AdminOnly:
		return denied(who, k)
	}
	return &problem.Error{
		Code: problem.Forbidden, Title: "Access Denied",
		Detail: "requests that do not come from this machine need the administrator's token to write (Authorization: Bearer TOKEN)",
	}
}

// denied is the peer's refusal, word for word.
func denied(who identity, k *resource.Kind) *problem.Error {
	return &problem.Error{Code: problem.Forbidden, Title: "Access Denied", Detail: fmt.Sprintf("user %q cannot access the resource of type %q", who, k.Name)} // wire: kumactl shows it
}
