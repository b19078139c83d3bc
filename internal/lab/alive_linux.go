package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// stat splits /proc/PID/stat after the command name, which may hold anything.
func stat(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	text := string(raw)
	i := strings.LastIndexByte(text, ')')
	if i < 0 {
		return nil
	}
	return strings.Fields(text[i+1:])
}

// startOf is the start time of a process in clock ticks since boot, empty if
// it does not run: field 22 of proc_pid_stat(5). A zombie does not run.
func startOf(pid int) string {
	fields := stat(pid)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

// memoryOf is the resident memory of a process in bytes, 0 if unknown.
func memoryOf(pid int) int64 {
	fields := stat(pid)
	if len(fields) < 22 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
