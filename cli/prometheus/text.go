// Package prometheus writes statistics of VPSs in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4).
package prometheus

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"croft/runtime"
)

// ContentType is the media type of Text.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Text returns the metrics of all VPSs whose statistics were read, and the number
// of the others. A metric that the host does not count has no line. The metrics
// and their labels are stable (docs/metrics.md).
func Text(all []runtime.Stats) string {
	w := writer{samples: map[string][]string{}}
	unreadable := 0
	for _, s := range all {
		if s.Err != nil {
			unreadable++
			continue
		}
		w.vps(s)
	}
	w.add("croft_unreadable_vpss", float64(unreadable))
	var out strings.Builder
	for _, m := range metrics {
		lines := w.samples[m.name]
		if len(lines) == 0 {
			continue
		}
		kind := "gauge"
		if strings.HasSuffix(m.name, "_total") {
			kind = "counter"
		}
		out.WriteString("# HELP " + m.name + " " + m.help + "\n# TYPE " + m.name + " " + kind + "\n")
		for _, line := range lines {
			out.WriteString(line)
		}
	}
	return out.String()
}

// A writer collects lines by metric: the format wants those of one metric together.
type writer struct{ samples map[string][]string }

// A label is a name and its value.
type label struct{ name, value string }

// escape makes a value of a label safe between quotation marks.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (w writer) add(metric string, value float64, labels ...label) {
	var all []string
	for _, l := range labels {
		all = append(all, l.name+`="`+escape.Replace(l.value)+`"`)
	}
	line := metric
	if len(all) > 0 {
		line += "{" + strings.Join(all, ",") + "}"
	}
	w.samples[metric] = append(w.samples[metric], line+" "+strconv.FormatFloat(value, 'g', -1, 64)+"\n")
}

// count adds a value that the host may not count.
func (w writer) count(metric string, value *uint64, labels ...label) {
	if value != nil {
		w.add(metric, float64(*value), labels...)
	}
}

// limit adds a limit, unless there is none.
func (w writer) limit(metric string, value float64, labels ...label) {
	if value > 0 {
		w.add(metric, value, labels...)
	}
}

const second = 1e9 // nanoseconds

func (w writer) vps(s runtime.Stats) {
	of := label{"vps", string(s.Name)}
	w.add("croft_cpu_seconds_total", float64(s.CPU.Used)/second, of)
	w.add("croft_cpu_user_seconds_total", float64(s.CPU.User)/second, of)
	w.add("croft_cpu_system_seconds_total", float64(s.CPU.System)/second, of)
	w.limit("croft_cpu_limit_cpus", float64(s.CPU.Limit)/1000, of)
	w.count("croft_cpu_throttled_periods_total", s.CPU.Throttles, of)
	if s.CPU.Throttled != nil {
		w.add("croft_cpu_throttled_seconds_total", float64(*s.CPU.Throttled)/second, of)
	}
	w.add("croft_memory_used_bytes", float64(s.Memory.Used), of)
	w.add("croft_memory_charged_bytes", float64(s.Memory.Total), of)
	w.add("croft_memory_peak_bytes", float64(s.Memory.Peak), of)
	w.limit("croft_memory_limit_bytes", float64(s.Memory.Limit), of)
	w.count("croft_memory_limit_hits_total", s.Memory.LimitHits, of)
	w.count("croft_oom_kills_total", s.Memory.OOMKills, of)
	w.count("croft_swap_used_bytes", s.Memory.Swap, of)
	w.add("croft_pids", float64(s.PIDs.Current), of)
	w.limit("croft_pids_limit", float64(s.PIDs.Limit), of)
	w.count("croft_pids_limit_hits_total", s.PIDs.LimitHits, of)
	w.count("croft_open_files", s.OpenFiles, of)
	w.count("croft_disk_used_bytes", s.Disk, of)
	w.disk(of, s.DiskLimit)
	if s.IO.Counted {
		w.add("croft_block_read_bytes_total", float64(s.IO.ReadBytes), of)
		w.add("croft_block_written_bytes_total", float64(s.IO.WrittenBytes), of)
		w.add("croft_block_reads_total", float64(s.IO.Reads), of)
		w.add("croft_block_writes_total", float64(s.IO.Writes), of)
	}
	w.pressure(of, "cpu", s.CPU.Pressure)
	w.pressure(of, "memory", s.Memory.Pressure)
	w.pressure(of, "io", s.IO.Pressure)
	for _, at := range s.Interfaces {
		w.traffic(of, at)
	}
}

func (w writer) disk(of label, d runtime.DiskInfo) {
	w.limit("croft_disk_limit_bytes", float64(d.Bytes), of)
	w.limit("croft_inodes_limit", float64(d.Inodes), of)
	if d.UsedBytes != nil && d.UsedInodes != nil {
		w.add("croft_disk_charged_bytes", float64(*d.UsedBytes), of)
		w.add("croft_inodes_charged", float64(*d.UsedInodes), of)
	}
}

func (w writer) pressure(of label, resource string, p *runtime.Pressure) {
	if p == nil {
		return
	}
	what := label{"resource", resource}
	w.add("croft_pressure_waiting_seconds_total", float64(p.Some.Nanoseconds)/second, of, what)
	if p.Full != nil {
		w.add("croft_pressure_stalled_seconds_total", float64(p.Full.Nanoseconds)/second, of, what)
	}
}

func (w writer) traffic(of label, at runtime.InterfaceStats) {
	labels := []label{of, {"network", at.Network}, {"interface", at.Name}}
	w.add("croft_network_received_bytes_total", float64(at.ReceivedBytes), labels...)
	w.add("croft_network_received_packets_total", float64(at.ReceivedPackets), labels...)
	w.add("croft_network_sent_bytes_total", float64(at.SentBytes), labels...)
	w.add("croft_network_sent_packets_total", float64(at.SentPackets), labels...)
	for _, reason := range slices.Sorted(maps.Keys(at.Dropped)) {
		w.add("croft_network_dropped_packets_total", float64(at.Dropped[reason]), append(slices.Clone(labels), label{"reason", reason})...)
	}
}
