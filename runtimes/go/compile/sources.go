package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// source is a file as far as it can be understood; what is wrong with it is the compiler's to say.
type source struct {
	path    string
	content []byte
	pkg     string
	imports []*ast.ImportSpec
	hasMain bool
}

// sourcesOf returns the files of the entry's program: those of its folder that are `package main`, without those that have a main of
// their own beside the entry's.
func sourcesOf(entry string) ([]source, error) {
	first, err := read(entry)
	if err != nil {
		return nil, err
	}
	if first.pkg != "" && first.pkg != "main" {
		return nil, fmt.Errorf("%s:1:1: package %s is no program; the file to run begins with `package main`", entry, first.pkg)
	}
	sources := []source{first}
	neighbours, err := filepath.Glob(filepath.Join(literally(filepath.Dir(entry)), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range neighbours {
		if path == filepath.Clean(entry) || strings.HasSuffix(path, "_test.go") {
			continue
		}
		neighbour, err := read(path)
		if err != nil {
			return nil, err
		}
		if neighbour.pkg == "main" && !(neighbour.hasMain && first.hasMain) {
			sources = append(sources, neighbour)
		}
	}
	return sources, nil
}

// literally makes a folder's name a pattern that matches only itself.
func literally(folder string) string {
	return regexp.MustCompile(`[\\*?\[]`).ReplaceAllString(folder, `\$0`)
}

func read(path string) (source, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	read := source{path: path, content: content}
	if file, _ := parser.ParseFile(token.NewFileSet(), path, content, parser.SkipObjectResolution); file != nil && file.Name != nil {
		read.pkg, read.imports = file.Name.Name, file.Imports
		read.hasMain = slices.ContainsFunc(file.Decls, func(declaration ast.Decl) bool {
			function, is := declaration.(*ast.FuncDecl)
			return is && function.Recv == nil && function.Name.Name == "main"
		})
	}
	return read, nil
}

// hasDirectives tells whether the go command, not only the compiler, may have something to do with what is written in comments.
func (source source) hasDirectives() bool {
	return bytes.Contains(source.content, []byte("//go:")) || bytes.Contains(source.content, []byte("// +build"))
}
