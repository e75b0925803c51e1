package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	// primed is a cache that the go command filled when the image was made: all of the standard library. It is read-only.
	primed = "/opt/coderunner/cache"
	// added holds what this sandbox compiled.
	added = "/tmp/go-added"
)

// What the go command says to its cache and hears from it: `go doc cmd/go/internal/cacheprog`.
type request struct {
	ID       int64
	Command  string
	ActionID []byte
	OutputID []byte
	BodySize int64
}

type response struct {
	ID            int64
	Err           string     `json:",omitempty"`
	KnownCommands []string   `json:",omitempty"`
	Miss          bool       `json:",omitempty"`
	OutputID      []byte     `json:",omitempty"`
	Size          int64      `json:",omitempty"`
	Time          *time.Time `json:",omitempty"`
	DiskPath      string     `json:",omitempty"`
}

// serveCache answers the go command until it has no more questions.
func serveCache(from io.Reader, to io.Writer) {
	input, output := json.NewDecoder(bufio.NewReader(from)), bufio.NewWriter(to)
	answer := func(answer response) {
		if err := json.NewEncoder(output).Encode(answer); err != nil {
			fail(err.Error())
		}
		if err := output.Flush(); err != nil {
			fail(err.Error())
		}
	}
	answer(response{KnownCommands: []string{"get", "put", "close"}})
	for {
		var question request
		if err := input.Decode(&question); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fail(err.Error())
		}
		reply, err := respond(question, input)
		reply.ID = question.ID
		if err != nil {
			reply.Err = err.Error()
		}
		answer(reply)
	}
}

func respond(question request, input *json.Decoder) (response, error) {
	switch question.Command {
	case "get":
		for _, folder := range []string{added, primed} {
			if entry, found := lookUp(folder, question.ActionID); found {
				return entry, nil
			}
		}
		return response{Miss: true}, nil
	case "put":
		var body []byte
		if question.BodySize > 0 {
			if err := input.Decode(&body); err != nil {
				return response{}, err
			}
		}
		return put(question, body)
	default:
		return response{}, nil
	}
}

// lookUp reads an entry as the go command itself writes it: a line in a file called after the action that names the file of its output.
func lookUp(folder string, action []byte) (response, bool) {
	line, err := os.ReadFile(file(folder, action, "a"))
	if err != nil {
		return response{}, false
	}
	var actionID, outputID string
	var size, nanoseconds int64
	if _, err := fmt.Sscanf(string(line), "v1 %s %s %d %d", &actionID, &outputID, &size, &nanoseconds); err != nil {
		return response{}, false
	}
	output, err := hex.DecodeString(outputID)
	if err != nil {
		return response{}, false
	}
	made := time.Unix(0, nanoseconds)
	return response{OutputID: output, Size: size, Time: &made, DiskPath: file(folder, output, "d")}, true
}

func put(question request, body []byte) (response, error) {
	path := file(added, question.OutputID, "d")
	if err := write(path, body); err != nil {
		return response{}, err
	}
	line := fmt.Sprintf("v1 %x %x %20d %20d\n", question.ActionID, question.OutputID, len(body), time.Now().UnixNano())
	return response{DiskPath: path}, write(file(added, question.ActionID, "a"), []byte(line))
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

func file(folder string, id []byte, kind string) string {
	name := hex.EncodeToString(id)
	return filepath.Join(folder, name[:2], name+"-"+kind)
}
