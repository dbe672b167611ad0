package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"

	"croft/integration/modules"
	"croft/integration/scratch"
)

func main() {
	stage()
	// What a box sees of our death is that of the thread that started it.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{}
	flag.StringVar(&o.croft, "croft", "croft", "the croft to measure")
	flag.StringVar(&o.busybox, "busybox", "", "a static busybox, for root filesystems")
	flag.StringVar(&o.goPath, "go", "go", "the go command")
	flag.StringVar(&o.runc, "runc", "latest", "the version of runc to compare with")
	flag.StringVar(&o.cache, "cache", "/var/cache/croft-conformance", "where to keep what was built, and runc's results")
	flag.StringVar(&o.out, "out", "", "where to write what the tests print in which croft does worse; CACHE/worse if empty")
	flag.StringVar(&o.pick, "run", "", "run only tests of which this regular expression matches FILE or FILE: TEST")
	flag.StringVar(&o.only, "only", "", "croft or runc: measure only that one")
	flag.BoolVar(&o.fresh, "fresh", false, "measure runc anew")
	flag.Parse()
	worse, err := o.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	if worse > 0 {
		os.Exit(1)
	}
}

type options struct {
	croft, busybox, goPath, runc, cache, out, pick, only string
	fresh                                                bool
}

// run measures, reports, and returns in how many tests croft does worse.
func (o options) run(ctx context.Context) (worse int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("this needs root")
	}
	pick, err := regexp.Compile(o.pick)
	if err != nil {
		return 0, err
	}
	if o.only != "" && o.only != "croft" && o.only != "runc" {
		return 0, fmt.Errorf("-only %s: it is croft or runc", o.only)
	}
	unlock, err := o.open()
	if err != nil {
		return 0, err
	}
	defer unlock()
	suite, files, err := o.suites(ctx)
	if err != nil {
		return 0, err
	}
	files = choose(files, pick)
	if len(files) == 0 {
		return 0, fmt.Errorf("no test matches %s", o.pick)
	}
	s := session{options: o, files: files}
	if s.box, err = newBox(o.cache); err != nil {
		return 0, err
	}
	if s.kept, err = openKept(o.cache, suite.version); err != nil {
		return 0, err
	}
	runc := candidate{"runc " + suite.version, filepath.Join(suite.dir, "bin/runc")}
	if err := s.measureRunc(ctx, runc); err != nil {
		return 0, err
	}
	if err := s.measureCroft(ctx); err != nil {
		return 0, err
	}
	if err := s.doubt(ctx, runc); err != nil {
		return 0, err
	}
	return s.report(suite.version)
}

// open makes the cache, and keeps other runs away from it: they would be in
// each other's way.
func (o *options) open() (unlock func(), err error) {
	for _, p := range []*string{&o.croft, &o.busybox, &o.cache} {
		if *p, err = filepath.Abs(*p); err != nil {
			return nil, err
		}
	}
	if o.out == "" {
		o.out = filepath.Join(o.cache, "worse")
	}
	return scratch.LockCache(o.cache)
}

// suites builds what is not yet built, and lists all tests.
func (o options) suites(ctx context.Context) (runcSuite, []file, error) {
	outside, err := os.MkdirTemp("", "croft-conformance-")
	if err != nil {
		return runcSuite{}, nil, err
	}
	defer os.RemoveAll(outside)
	checkout, err := os.Getwd()
	if err != nil {
		return runcSuite{}, nil, err
	}
	b := builder{
		tool: modules.Tool{Path: o.goPath, Dir: outside}, cache: o.cache, checkout: checkout, busybox: o.busybox,
		path: filepath.Dir(o.goPath) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	say("building what is not yet built")
	suite, err := b.runc(ctx, o.runc)
	if err != nil {
		return suite, nil, err
	}
	all, err := suite.files()
	if err != nil {
		return suite, nil, err
	}
	programs, err := b.validation(ctx)
	if err != nil {
		return suite, nil, err
	}
	engines, err := b.engines(ctx, suite)
	return suite, slices.Concat(all, programs, engines), err
}

func progress(f file, c candidate, found map[string]result, took time.Duration) {
	n := scoreOf(found)
	say("%s: %s: %d passed, %d failed, %d skipped, %d s", f.path(), c.name, n[passed], n.failures(), n[skipped], int(took.Seconds()))
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "conformance: "+format+"\n", args...)
}
