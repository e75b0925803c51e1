// Command compile makes the program of a Go file: `compile ENTRY` builds it and the files of its folder that belong to it, as
// `.coderunner/main` below the working directory. It also serves the go command as its cache (`compile cache`, see cache.go).
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

const (
	self    = "/opt/coderunner/compile"
	folder  = ".coderunner"
	program = ".coderunner/main"
	goTool  = "/usr/bin/go"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: compile ENTRY")
	}
	if os.Args[1] == "cache" {
		serveCache(os.Stdin, os.Stdout)
		return
	}
	if err := makeProgram(os.Args[1]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(max(exit.ExitCode(), 1))
		}
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

// makeProgram returns only where something failed, or where messages had to be changed; else it becomes the last of the tools.
func makeProgram(entry string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	sources, err := sourcesOf(entry)
	if err != nil {
		return err
	}
	// The tools live for a moment: collecting garbage as often as a server does costs them a fifth of their time.
	if err := setenv(map[string]string{"GOGC": "400"}); err != nil {
		return err
	}
	root, inModule := moduleOf(filepath.Dir(entry))
	if packages, err := standardLibrary(); err != nil {
		return err
	} else if !inModule && simple(sources, packages) {
		return buildDirectly(sources)
	}
	return buildWithGo(root, sources)
}

func setenv(variables map[string]string) error {
	for name, value := range variables {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// moduleOf returns the nearest folder with a go.mod, from the entry's up to the workspace, or the workspace where there is none.
func moduleOf(below string) (root string, inModule bool) {
	for folder := below; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, true
		}
		if folder == "." || folder == "/" {
			return folder, false
		}
	}
}

// buildWithGo leaves it to the go command, which knows modules and all directives.
func buildWithGo(root string, sources []source) error {
	output, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	arguments := []string{goTool, "build", "-C", root, "-ldflags=-w", "-o", output}
	for _, source := range sources {
		relative, err := filepath.Rel(root, source.path)
		if err != nil {
			return err
		}
		arguments = append(arguments, "./"+relative)
	}
	settings := map[string]string{
		"CGO_ENABLED": "0",
		"GOCACHE":     "/tmp/go-build",
		"GOCACHEPROG": self + " cache",
		"GOENV":       "off",
		"GOFLAGS":     strings.TrimSpace("-buildvcs=false " + os.Getenv("GOFLAGS")),
		"GOTELEMETRY": "off",
		"GOTOOLCHAIN": "local",
	}
	usual := map[string]string{"GOPATH": "/tmp/go", "GOPROXY": "off"}
	maps.DeleteFunc(usual, func(name, _ string) bool {
		_, set := os.LookupEnv(name)
		return set
	})
	maps.Copy(settings, usual)
	if err := setenv(settings); err != nil {
		return err
	}
	if root == "." {
		return syscall.Exec(goTool, arguments, os.Environ())
	}
	return runIn(root, arguments)
}

var place = regexp.MustCompile(`^(?:\./)?([^\s:][^:]*\.go:\d)`)

// runIn runs the go command and lets its messages name files as they are named from the workspace.
func runIn(root string, arguments []string) error {
	command := exec.Command(arguments[0], arguments[1:]...)
	messages, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	prefix := strings.ReplaceAll(root, "$", "$$") + "/"
	lines := bufio.NewReader(messages)
	for {
		line, err := lines.ReadString('\n')
		fmt.Fprint(os.Stderr, place.ReplaceAllString(line, prefix+"$1"))
		if errors.Is(err, io.EOF) {
			return command.Wait()
		} else if err != nil {
			return err
		}
	}
}
