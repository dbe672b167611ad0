package template

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/pattern"
	"croft/template/busybox"
	"croft/template/layer"
	"croft/template/recipe"
)

// A toolOutput interprets the lines that a tool prints on stderr.
type toolOutput struct {
	tool     string
	marks    []string // see recipe.Job
	to       Progress
	log      io.Writer
	newest   time.Time // the newest date of a package index
	last     string    // the last line that is not empty
	errors   []string  // error messages of the tool and of scripts, at most 10
	missing  recipe.MissingPackages
	full     bool          // the disk is full
	refused  func() string // the address of this host that the build wanted and did not get, or ""
	reported Update        // the last one
}

// maxLine is the largest length of a line; a longer one is split.
const maxLine = 64 << 10

func (t *toolOutput) read(r io.Reader) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			t.line(strings.TrimRight(string(line), "\r\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// line interprets one line of the tool.
func (t *toolOutput) line(line string) {
	if t.log != nil {
		fmt.Fprintln(t.log, line)
	}
	if date, ok := strings.CutPrefix(line, "croft-date: "); ok {
		// As in a Release file: "Sat, 10 Jun 2023 08:53:33 UTC".
		if at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 MST", date); err == nil && at.After(t.newest) {
			t.newest = at.UTC()
		}
		return
	}
	if part, ok := strings.CutPrefix(line, "croft-failed: "); ok {
		if strings.HasSuffix(part, "-install") {
			part += " script"
		}
		t.errors = append(t.errors, fmt.Sprintf("the recipe's %s: %s", part, t.last))
		return
	}
	if strings.Contains(line, "No space left on device") {
		t.full = true
	}
	t.missing.Add(line)
	for _, mark := range t.marks {
		if why, ok := strings.CutPrefix(strings.TrimSpace(line), mark); ok && len(t.errors) < 10 {
			if mark != "E: " { // the mark says what failed
				why = strings.TrimSpace(line)
			}
			t.errors = append(t.errors, why)
			break
		}
	}
	if strings.TrimSpace(line) != "" {
		t.last = strings.TrimSpace(line)
	}
	if u, ok := stepOf(line); ok && u != t.reported {
		t.reported = u
		t.to(u)
	}
}

// failure returns the reason why the tool ended with err, as one line.
func (t *toolOutput) failure(err error) error {
	if t.full {
		return layer.HostError(fmt.Errorf("%s: %w", t.tool, syscall.ENOSPC))
	}
	if len(t.missing) > 0 {
		return t.missing
	}
	why := t.last
	if len(t.errors) > 0 {
		why = t.errors[0]
	}
	failed := fail.New(fail.Host, "%s: %s (%w)", t.tool, cmp.Or(why, "it printed nothing"), err)
	if addr := t.refused(); addr != "" {
		return failed.WithHint("a build cannot connect to %s, which is this host, unless --mirror, or repositories or proxy of the recipe, names it", addr)
	}
	if strings.Contains(why, "is expired") || strings.Contains(why, "not valid yet") {
		return failed.WithHint("check the clock; a recipe with check-valid-until: false accepts expired package indexes")
	}
	if len(t.errors) > 0 && strings.HasPrefix(why, "the recipe's ") {
		return failed
	}
	if badSignature().MatchString(why) {
		return failed.WithHint("only the key or the keyring of the recipe may sign the packages: check it and the mirror")
	}
	if t.tool == recipe.AptGet {
		return failed.WithHint("check that this host can reach the package archives of the template below it")
	}
	return failed.WithHint("check that this host can reach the package archive, or use another one with --mirror; the template busybox needs no archive")
}

// badSignature matches what tools say about a signature that is missing, or by another key.
// xbps-install prints the fingerprint of that, and asks whether to trust it.
var badSignature = pattern.New(`(?i)signature|GPG check FAILED|NO_PUBKEY|is not signed|unknown trust|unknown key|required key missing|^Fingerprint: `)

// stepOf returns the progress of a tool that prints this line, and false if the line
// does not tell. The percentages are shares of the time of a typical build.
func stepOf(line string) (Update, bool) {
	for _, s := range []struct {
		in, step string
		percent  int64
	}{
		{"I: running apt-get update", "reading package lists", 5},
		{"I: Retrieving InRelease", "reading package lists", 5},
		{"I: downloading packages", "downloading the base system", 15},
		{"I: Resolving dependencies", "downloading the base system", 10},
		{"I: extracting archives", "unpacking the base system", 35},
		{"I: Extracting", "unpacking the base system", 35},
		{"I: installing essential packages", "installing the base system", 40},
		{"I: Configuring required packages", "installing the base system", 45},
		{"I: installing remaining packages", "installing packages", 50},
		{"I: installing packages", "installing packages", 50},
		{"I: cleaning package lists", "cleaning up", 80},
		{"I: creating tarball", "storing the image", 85},
	} {
		if strings.HasPrefix(line, s.in) {
			return Update{Step: s.step, Done: s.percent, Total: 100}, true
		}
	}
	return Update{}, false
}

// makeBusybox creates the template busybox. The same binary gives the same digest.
func (s *Store) makeBusybox(ctx context.Context) (Image, error) {
	program, err := busybox.Program()
	if err != nil {
		return Image{}, err
	}
	s.Report(Update{Step: "creating busybox from this program"})
	archive, err := busybox.Rootfs(ctx, program)
	if err != nil {
		return Image{}, err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	l, err := s.StageLayer(ctx, st, bytes.NewReader(archive), nil, nil)
	if err != nil {
		return Image{}, err
	}
	return s.Commit(ctx, st, Image{
		Name: busybox.Name, Distribution: busybox.Name, Release: busybox.Version(program), Architecture: goruntime.GOARCH,
		Init: string(initkind.Busybox), Recipe: busybox.Name, Created: busybox.Time(),
	}, l)
}
