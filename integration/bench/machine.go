package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// busy is the load average from which on a run is warned about.
const busy = 0.5

// A machine is what the numbers depend on: the host, and the programs that are compared.
type machine struct {
	Kernel   string    `json:"kernel"`
	CPU      string    `json:"cpu"`
	CPUs     int       `json:"cpus"`
	Load     float64   `json:"loadAverage"`
	Programs []program `json:"programs"`
}

// A program is croft or a peer. Version is empty if it is not installed.
type program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func describe(ctx context.Context, croft, runc string) machine {
	m := machine{CPUs: runtime.NumCPU()}
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(text))
	text, _ = os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	text, _ = os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	m.Load, _ = strconv.ParseFloat(first, 64)
	for _, p := range []struct{ name, path string }{
		{"croft", croft}, {"runc", runc}, {"crun", "crun"}, {"podman", "podman"}, {"lxc", "lxc-start"},
		{"systemd-nspawn", "systemd-nspawn"}, {"containerd", "containerd"},
	} {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, _ := exec.CommandContext(ctx, p.path, "--version").Output()
		cancel()
		m.Programs = append(m.Programs, program{p.name, version(string(out))})
	}
	return m
}

var (
	dotted   = regexp.MustCompile(`(?:^|[\s(])v?(\d+\.\d+[\w.~+-]*)`)
	abridged = regexp.MustCompile(`(?:^|\s)([0-9a-f]{7,}(?:-\w+)?|\d+)(?:\s|$)`)
)

// version finds the version in what a program prints about itself: the first with a dot, or else the
// first number or commit.
func version(text string) string {
	for _, form := range []*regexp.Regexp{dotted, abridged} {
		if found := form.FindStringSubmatch(text); found != nil {
			return found[1]
		}
	}
	return ""
}

// text describes the machine and the run in lines of at most 80 columns.
func (m machine) text(rounds int) string {
	var programs []string
	for _, p := range m.Programs {
		v := p.Version
		if v == "" {
			v = "(not installed)"
		}
		programs = append(programs, p.Name+" "+v)
	}
	all := wrap(fmt.Sprintf("Linux %s, %d CPUs (%s), load average %.2f, %d rounds.", m.Kernel, m.CPUs, m.CPU, m.Load, rounds), columns)
	all = append(all, wrap(strings.Join(programs, ", ")+".", columns)...)
	return strings.Join(append(all, wrap("CPU is that of all processes. A ratio is what croft takes, divided by what the other takes.", columns)...), "\n") + "\n"
}
