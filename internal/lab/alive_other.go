//go:build unix && !linux

package lab

import (
	"os/exec"
	"strconv"
	"strings"
)

// startOf asks ps for the start time of a process; empty if it does not run.
func startOf(pid int) string {
	out, err := exec.Command("ps", "-o", "state=,lstart=", "-p", strconv.Itoa(pid)).Output()
	text := strings.TrimSpace(string(out))
	if err != nil || text == "" || text[0] == 'Z' {
		return ""
	}
	_, start, _ := strings.Cut(text, " ")
	return strings.TrimSpace(start)
}

// memoryOf is the resident memory of a process in bytes, 0 if unknown.
func memoryOf(pid int) int64 {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
