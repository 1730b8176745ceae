package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
)

// Limits on documents that are fetched from a URL.
const (
	fetchTimeout   = 10 * time.Second
	maxFetched     = 8 << 20
	fetchRedirects = 3
)

// Fetch reads a file that somebody else serves. Without allowHTTP it takes https only, and http from this machine: what comes over
// plain http can be changed on its way.
func Fetch(ctx context.Context, from string, allowHTTP bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	check := func(u *url.URL) error {
		if u.Scheme == "https" || u.Scheme == "http" && (allowHTTP || isLoopback(u.Hostname())) {
			return nil
		}
		return problem.New(problem.Invalid, "%s is not https", u).WithHint("--allow-http takes it all the same")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%w", err)
	}
	if err := check(req.URL); err != nil {
		return nil, err
	}
	follow := func(next *http.Request, via []*http.Request) error {
		if len(via) > fetchRedirects {
			return problem.New(problem.Invalid, "more than %d redirects", fetchRedirects)
		}
		return check(next.URL)
	}
	resp, err := (&http.Client{CheckRedirect: follow}).Do(req)
	if err != nil {
		return nil, notFetched(from, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, problem.New(problem.NotFound, "%s: the server answers %s", from, resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxFetched+1))
	if err != nil {
		return nil, notFetched(from, err)
	}
	if len(raw) > maxFetched {
		return nil, problem.New(problem.TooLarge, "%s is over %d MiB", from, maxFetched>>20)
	}
	return raw, nil
}

func notFetched(from string, err error) error {
	if p, ok := errors.AsType[*problem.Error](err); ok {
		return p
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return problem.New(problem.Unavailable, "%s did not come within %s", from, fetchTimeout).
			WithHint("fetch it by other means, and pipe it: curl %s | kumactl apply -f -", from)
	}
	return problem.New(problem.Unavailable, "%s: %w", from, err)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
