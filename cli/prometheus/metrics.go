package prometheus

// A metric is a name of a time series, and what it is. Names that end with
// _total are counters, the others are gauges.
type metric struct{ name, help string }

// metrics are all metrics, in the order of the output.
var metrics = []metric{
	{"croft_cpu_seconds_total", "CPU time since the VPS was started."},
	{"croft_cpu_user_seconds_total", "CPU time in programs of the VPS."},
	{"croft_cpu_system_seconds_total", "CPU time in the kernel."},
	{"croft_cpu_limit_cpus", "The CPU limit of the VPS."},
	{"croft_cpu_throttled_periods_total", "Periods in which the CPU limit made the VPS wait."},
	{"croft_cpu_throttled_seconds_total", "Time that the CPU limit made the VPS wait."},
	{"croft_memory_used_bytes", "Memory without the file cache that can be dropped at once."},
	{"croft_memory_charged_bytes", "Memory that counts against the limit."},
	{"croft_memory_peak_bytes", "The highest charged memory."},
	{"croft_memory_limit_bytes", "The memory limit of the VPS."},
	{"croft_memory_limit_hits_total", "Times that the memory limit was hit."},
	{"croft_oom_kills_total", "Processes that the kernel killed for lack of memory."},
	{"croft_swap_used_bytes", "Swap that the VPS uses."},
	{"croft_pids", "Processes and threads."},
	{"croft_pids_limit", "The limit of processes and threads."},
	{"croft_pids_limit_hits_total", "Processes and threads that were refused because of the limit."},
	{"croft_open_files", "Open file descriptors of all processes."},
	{"croft_disk_used_bytes", "Disk space of the files of the VPS, without its template."},
	{"croft_disk_limit_bytes", "The limit of the disk of the VPS."},
	{"croft_disk_charged_bytes", "Disk space that counts against the limit."},
	{"croft_inodes_limit", "The limit of files and directories of the VPS."},
	{"croft_inodes_charged", "Files and directories that count against the limit."},
	{"croft_block_read_bytes_total", "Bytes read from block devices."},
	{"croft_block_written_bytes_total", "Bytes written to block devices."},
	{"croft_block_reads_total", "Reads from block devices."},
	{"croft_block_writes_total", "Writes to block devices."},
	{"croft_pressure_waiting_seconds_total", "Time in which at least one process waited for the resource."},
	{"croft_pressure_stalled_seconds_total", "Time in which all processes waited for the resource."},
	{"croft_network_received_bytes_total", "Bytes that the VPS received."},
	{"croft_network_received_packets_total", "Packets that the VPS received."},
	{"croft_network_sent_bytes_total", "Bytes that the VPS sent."},
	{"croft_network_sent_packets_total", "Packets that the VPS sent."},
	{"croft_network_dropped_packets_total", "Packets from the VPS that the filters dropped."},
	{"croft_unreadable_vpss", "VPSs whose usage could not be read."},
}
