package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// application is one of the demo's own programs: what a user's service would be. It listens on loopback and knows nothing of the mesh.
type application struct {
	listener net.Listener
	serve    func(ctx context.Context, l net.Listener) error
}

func (a application) port() int { return a.listener.Addr().(*net.TCPAddr).Port }

func listen(ctx context.Context, serve func(context.Context, net.Listener) error) (application, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	return application{l, serve}, err
}

// serveHTTP answers requests until the context ends.
func serveHTTP(handler http.Handler) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
		stop := context.AfterFunc(ctx, func() { s.Close() })
		defer stop()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// shop asks the catalog over HTTP for each request; it finds it on a port of its own machine.
func shop(catalogPort int) http.Handler {
	client := &http.Client{Timeout: 5 * time.Second}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/items", catalogPort), nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := client.Do(ask)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		// The caller sees a short body when it goes away; nothing is to be done about it here.
		_, _ = io.Copy(w, answer.Body)
	})
}

func catalog() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "apples, pears") })
}

// echo sends each line back over plain TCP.
func echo(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var connections errgroup.Group
	defer connections.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		connections.Go(func() error {
			defer conn.Close()
			done := context.AfterFunc(ctx, func() { conn.Close() })
			defer done()
			_, err := io.Copy(conn, conn)
			return err
		})
	}
}

// Call is one kind of traffic that the demo sent, and what came of it.
type Call struct {
	From, To, Protocol string
	// Requests were sent, Answered came back as they should.
	Requests, Answered int
	Answer             string
	// Median is the time from request to answer.
	Median time.Duration
}

func askHTTP(ctx context.Context, client *http.Client, port int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", answer.StatusCode)
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, line), err
}

func askTCP(ctx context.Context, port int) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}
