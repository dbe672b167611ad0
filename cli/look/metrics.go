package look

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/prometheus"
	"croft/internal/fail"
	"croft/runtime"
)

// defaultListen is the address of metrics, on the host itself.
const defaultListen = "127.0.0.1:9780"

// MetricsVerb returns the command metrics.
func MetricsVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "metrics", Group: command.GroupLook,
		Summary:  "serve the resource usage of running VPSs to Prometheus",
		Examples: []string{"croft metrics", "croft metrics --listen 127.0.0.1:9100"},
		About: `Serves http://ADDRESS:PORT/metrics in the foreground until it is interrupted, and
prints the address when it listens. Each request reads the usage of all running
VPSs, one request after the other. The text is that of "croft stats --format
prometheus". VPSs whose usage cannot be read are named on stderr.

There is no password and no encryption, so an address that other hosts reach is an
error without --public.`,
		Options: []cmdline.Option{
			{Name: "listen", Placeholder: "ADDRESS:PORT", Usage: "IP address and port to listen on; port 0 is a free one (default: " + defaultListen + ")"},
			{Name: "public", Usage: "allow an address that other hosts reach: they read the metrics without a password"},
			diskOption(),
		},
		Synonyms: []string{"exporter", "prometheus"},
		Run:      a.Run(serveMetrics),
	}
}

func serveMetrics(ctx context.Context, i *command.Invocation) error {
	at := netip.MustParseAddrPort(defaultListen)
	if i.Has("listen") {
		at = command.Get(i, "listen", parseListen)
	}
	if i.Err == nil && !at.Addr().Unmap().IsLoopback() && !i.Is("public") {
		i.Err = command.UsageError("--listen: other hosts reach %s and could read the metrics without a password: allow that with --public", at.Addr())
	}
	if err := i.None(); err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at.String())
	if err != nil {
		return fail.New(fail.Host, "cannot listen on %s: %w", at, err)
	}
	if err := i.Print("http://" + listener.Addr().String() + "/metrics\n"); err != nil {
		listener.Close()
		return err
	}
	return serve(ctx, listener, newMetricsHandler(i, m))
}

// parseListen reads an IP address and a port. With a name or without an address it
// would not be clear who reaches it.
func parseListen(s string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("invalid address %q: use an IP address and a port, for example %s", s, defaultListen)
	}
	return at, nil
}

// Times of the server: for a client to send a request, for an answer with all that
// wait before it, and for answers once the server is to end.
const (
	requestTime = 10 * time.Second
	answerTime  = time.Minute
	endTime     = 2 * time.Second
)

// serve answers requests for /metrics until ctx is done. Then it closes the listener
// and returns the error of ctx.
func serve(ctx context.Context, listener net.Listener, metrics http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics) // and HEAD
	server := &http.Server{
		Handler: mux, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fail.New(fail.Host, "cannot serve metrics: %w", err)
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if server.Shutdown(soon) != nil {
		_ = server.Close()
	}
	return ctx.Err()
}

// A metricsHandler reads the usage of all running VPSs for each request, one request
// after the other.
type metricsHandler struct {
	*command.Invocation
	manager command.Manager
	o       runtime.StatsOptions
	turn    chan struct{} // has one element while no request is at work
}

func newMetricsHandler(i *command.Invocation, m command.Manager) *metricsHandler {
	h := &metricsHandler{i, m, runtime.StatsOptions{OpenFiles: true, Disk: i.Is("disk")}, make(chan struct{}, 1)}
	h.turn <- struct{}{}
	return h
}

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	select {
	case <-h.turn:
	case <-ctx.Done():
		http.Error(w, "other requests take too long", http.StatusServiceUnavailable)
		return
	}
	defer func() { h.turn <- struct{}{} }()
	all, err := h.manager.Stats(ctx, nil, h.o)
	if err != nil {
		if ctx.Err() == nil {
			h.Report(h.Path, fmt.Errorf("cannot read the usage: %w", err))
		}
		http.Error(w, "cannot read the usage: see the messages of croft metrics", http.StatusInternalServerError)
		return
	}
	for _, s := range all {
		if s.Err != nil {
			h.Report(h.Path, command.Cannot("look at", string(s.Name), s.Err))
		}
	}
	w.Header().Set("Content-Type", prometheus.ContentType)
	_, _ = w.Write([]byte(prometheus.Text(all))) // a client that is gone needs no answer
}
