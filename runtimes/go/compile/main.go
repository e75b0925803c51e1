// Command compile makes the program of a Go file: `compile ENTRY` builds it and the files of its folder that belong to it, as
// `.coderunner/main` below the working directory. It also serves the go command as its cache (`compile cache`, see cache.go).
package main

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

const (
	self    = "/opt/coderunner/compile"
	folder  = ".coderunner"
	program = "main"
	tool    = "/usr/bin/go"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: compile ENTRY")
	}
	if os.Args[1] == "cache" {
		serveCache(os.Stdin, os.Stdout)
		return
	}
	if err := build(os.Args[1]); err != nil {
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

// build gives the go command the files of the entry's program, so that neighbours that are programs of their own are left alone.
func build(entry string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	output, err := filepath.Abs(filepath.Join(folder, program))
	if err != nil {
		return err
	}
	sources, err := belonging(entry)
	if err != nil {
		return err
	}
	root := moduleRoot(filepath.Dir(entry))
	arguments := []string{tool, "build", "-C", root, "-ldflags=-w", "-o", output}
	for _, source := range sources {
		relative, err := filepath.Rel(root, source)
		if err != nil {
			return err
		}
		arguments = append(arguments, "."+string(filepath.Separator)+relative)
	}
	for name, value := range map[string]string{
		"CGO_ENABLED": "0",
		"GOCACHE":     "/tmp/go-build",
		"GOCACHEPROG": self + " cache",
		"GOENV":       "off",
		"GOFLAGS":     strings.TrimSpace("-buildvcs=false " + os.Getenv("GOFLAGS")),
		"GOTELEMETRY": "off",
		"GOTOOLCHAIN": "local",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{"GOPATH": "/tmp/go", "GOPROXY": "off"} {
		if _, set := os.LookupEnv(name); !set {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	if root == "." {
		return syscall.Exec(tool, arguments, os.Environ())
	}
	return runIn(root, arguments)
}

// belonging returns the files of the entry's program: those of its folder that are `package main`, without those that have a main of
// their own beside the entry's.
func belonging(entry string) ([]string, error) {
	pkg, entryHasMain := declares(entry)
	if pkg != "" && pkg != "main" {
		return nil, fmt.Errorf("%s:1:1: package %s is no program; the file to run begins with `package main`", entry, pkg)
	}
	sources := []string{entry}
	neighbours, err := filepath.Glob(filepath.Join(escape(filepath.Dir(entry)), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range neighbours {
		if path == filepath.Clean(entry) || strings.HasSuffix(path, "_test.go") {
			continue
		}
		pkg, hasMain := declares(path)
		if pkg == "main" && !(hasMain && entryHasMain) {
			sources = append(sources, path)
		}
	}
	return sources, nil
}

// escape makes a folder's name a pattern that matches only itself.
func escape(folder string) string {
	return regexp.MustCompile(`[\\*?\[]`).ReplaceAllString(folder, `\$0`)
}

// declares returns a file's package and whether it has a function main. What is wrong with the file is the compiler's to say.
func declares(path string) (pkg string, hasMain bool) {
	file, _ := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if file == nil || file.Name == nil {
		return "", false
	}
	return file.Name.Name, slices.ContainsFunc(file.Decls, func(declaration ast.Decl) bool {
		function, is := declaration.(*ast.FuncDecl)
		return is && function.Recv == nil && function.Name.Name == "main"
	})
}

// moduleRoot returns the nearest folder with a go.mod, from the entry's up to the workspace; that one where there is none.
func moduleRoot(below string) string {
	for folder := below; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil || folder == "." || folder == "/" {
			return folder
		}
	}
}

var place = regexp.MustCompile(`^(vet: )?(?:\./)?([^\s:][^:]*\.go:\d)`)

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
	lines := bufio.NewReader(messages)
	for {
		line, err := lines.ReadString('\n')
		fmt.Fprint(os.Stderr, place.ReplaceAllString(line, "${1}"+strings.ReplaceAll(root, "$", "$$")+"/$2"))
		if errors.Is(err, io.EOF) {
			return command.Wait()
		} else if err != nil {
			return err
		}
	}
}
