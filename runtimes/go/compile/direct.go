package main

import (
	"bufio"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const (
	// tools is the folder of the compiler and the linker.
	tools = "/opt/coderunner/tools"
	// importConfig tells both where the compiled standard library is: a line `packagefile PATH=FILE` for each package.
	importConfig = "/opt/coderunner/importcfg"
	object       = "/tmp/main.a"
)

func standardLibrary() (map[string]bool, error) {
	file, err := os.Open(importConfig)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	packages := map[string]bool{"unsafe": true}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line, _ := strings.CutPrefix(lines.Text(), "packagefile ")
		path, _, _ := strings.Cut(line, "=")
		if !strings.Contains(path, "internal") && !strings.HasPrefix(path, "vendor/") {
			packages[path] = true
		}
	}
	return packages, lines.Err()
}

// simple tells whether compiler and linker are all that a program needs: files that belong to every platform, say nothing to the go
// command and import nothing but the standard library.
func simple(sources []source, packages map[string]bool) bool {
	for _, source := range sources {
		folder, name := filepath.Split(source.path)
		if matches, err := build.Default.MatchFile(folder, name); err != nil || !matches || source.hasDirectives() {
			return false
		}
		for _, spec := range source.imports {
			if path, err := strconv.Unquote(spec.Path.Value); err != nil || !packages[path] {
				return false
			}
		}
	}
	return true
}

// buildDirectly calls compiler and linker as the go command does, which would spend most of the time on finding out that the standard
// library has not changed.
func buildDirectly(sources []source) error {
	version := strings.Join(strings.SplitN(runtime.Version(), ".", 3)[:2], ".")
	arguments := []string{"-o", object, "-p", "main", "-lang=" + version, "-complete", "-nolocalimports", "-importcfg", importConfig, "-pack"}
	for _, source := range sources {
		arguments = append(arguments, "./"+source.path)
	}
	compiler := exec.Command(filepath.Join(tools, "compile"), arguments...)
	// The compiler prints its messages there.
	compiler.Stdout, compiler.Stderr = os.Stderr, os.Stderr
	if err := compiler.Run(); err != nil {
		return err
	}
	linker := filepath.Join(tools, "link")
	return syscall.Exec(linker, []string{linker, "-o", program, "-importcfg", importConfig, "-buildmode=exe", "-w", object}, os.Environ())
}
