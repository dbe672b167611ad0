package cli

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/cli/prometheus"
)

// startMetrics starts croft metrics, and returns its process and where it listens.
func startMetrics(t *testing.T, env ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("croft", "metrics", "--listen", "127.0.0.1:0", "--disk")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it does not say where it listens: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

func ask(t *testing.T, method, url string) (status int, kind, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(text)
}

// metrics answers with the text of stats, and ends with the status of its signal.
func TestMetrics(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	cmd, url := startMetrics(t, "FAKE_CALLS="+calls)
	if !strings.HasPrefix(url, "http://127.0.0.1:") || strings.Contains(url, ":0/") {
		t.Errorf("it listens at %q", url)
	}
	for range 2 {
		status, kind, body := ask(t, http.MethodGet, url)
		if status != http.StatusOK || kind != prometheus.ContentType || !strings.Contains(body, `croft_open_files{vps="web"} 42`) || !strings.Contains(body, "croft_disk_used_bytes") {
			t.Errorf("%d, %s:\n%s", status, kind, body)
		}
	}
	if status, _, body := ask(t, http.MethodHead, url); status != http.StatusOK || body != "" {
		t.Errorf("HEAD: %d, %q", status, body)
	}
	if status, _, _ := ask(t, http.MethodPost, url); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	if status, _, _ := ask(t, http.MethodGet, strings.TrimSuffix(url, "metrics")); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("after SIGINT: %v", err)
	}
}

// A failure is for its reader and on stderr, and the next request is answered.
func TestMetricsOfAFailure(t *testing.T) {
	_, url := startMetrics(t, "FAKE_REFUSE=Stats: 8 no cgroups")
	for range 2 {
		if status, _, body := ask(t, http.MethodGet, url); status != http.StatusInternalServerError || strings.Contains(body, "cgroups") {
			t.Errorf("%d: %q", status, body)
		}
	}
}
