//go:build unix

package script_test

import "syscall"

// The modes of files are part of what is published: whoever runs the tests,
// git and the scripts make files as most people do.
func init() { syscall.Umask(0o022) }
