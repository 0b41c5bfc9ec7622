// Reads what an Answerback log publishes with the libraries of Go's checksum database, which know nothing of us:
// golang.org/x/mod/sumdb/note and golang.org/x/mod/sumdb/tlog.
//
//	logreader read DIR VKEY OLD-SIZE… < leaf indices, one a line
//	logreader tiles OLD-SIZE NEW-SIZE
//	logreader check < lines of JSON, each an inclusion or a consistency proof
//	logreader sign NAME < text
//
// All answers are JSON on the standard output. A note, tile or proof that the libraries refuse ends the program with
// status 1 and the reason on the standard error.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	commands := map[string]func([]string) (any, error){"read": read, "tiles": tiles, "check": check, "sign": sign}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: logreader read|tiles|check|sign …"))
	}
	answer, err := commands[os.Args[1]](os.Args[2:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type leaf struct {
	Index int64       `json:"index"`
	Hash  tlog.Hash   `json:"hash"`
	Proof []tlog.Hash `json:"proof"`
}

type growth struct {
	Old   int64       `json:"old"`
	New   int64       `json:"new"`
	Proof []tlog.Hash `json:"proof"`
}

type tree struct {
	Origin string    `json:"origin"`
	Size   int64     `json:"size"`
	Root   tlog.Hash `json:"root"`
	Leaves []leaf    `json:"leaves"`
	Growth []growth  `json:"growth"`
}

// read opens the checkpoint, and proves by its tiles that every wanted entry is in it, and every older tree.
func read(arguments []string) (any, error) {
	folder := arguments[0]
	answer, err := open(folder, arguments[1])
	if err != nil {
		return nil, err
	}
	head := tlog.Tree{N: answer.Size, Hash: answer.Root}
	reader := tlog.TileHashReader(head, files(folder))
	root, err := tlog.TreeHash(head.N, reader)
	if err != nil {
		return nil, err
	}
	if root != head.Hash {
		return nil, fmt.Errorf("the tiles have the root %v and the checkpoint %v", root, head.Hash)
	}
	if answer.Leaves, err = readLeaves(folder, head, reader); err != nil {
		return nil, err
	}
	answer.Growth, err = readGrowth(arguments[2:], head, reader)
	return answer, err
}

func open(folder, key string) (*tree, error) {
	data, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return nil, err
	}
	return &tree{Origin: lines[0], Size: size, Root: root}, nil
}

func readLeaves(folder string, head tlog.Tree, reader tlog.HashReader) ([]leaf, error) {
	var leaves []leaf
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		index, err := strconv.ParseInt(input.Text(), 10, 64)
		if err != nil {
			return nil, err
		}
		entry, err := readEntry(folder, head.N, index)
		if err != nil {
			return nil, err
		}
		proof, err := tlog.ProveRecord(head.N, index, reader)
		if err != nil {
			return nil, err
		}
		hash := tlog.RecordHash(entry)
		if err := tlog.CheckRecord(proof, head.N, head.Hash, index, hash); err != nil {
			return nil, fmt.Errorf("leaf %d: %w", index, err)
		}
		leaves = append(leaves, leaf{index, hash, proof})
	}
	return leaves, input.Err()
}

func readGrowth(sizes []string, head tlog.Tree, reader tlog.HashReader) ([]growth, error) {
	var grown []growth
	for _, text := range sizes {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, err
		}
		proof, err := tlog.ProveTree(head.N, size, reader)
		if err != nil {
			return nil, err
		}
		old, err := tlog.TreeHash(size, reader)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckTree(proof, head.N, head.Hash, size, old); err != nil {
			return nil, fmt.Errorf("from %d: %w", size, err)
		}
		grown = append(grown, growth{size, head.N, proof})
	}
	return grown, nil
}

// readEntry takes an entry out of its bundle: each is behind its length in two bytes.
func readEntry(folder string, size, index int64) ([]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: index / 256, W: 256}
	if rest := size - index/256*256; rest < 256 {
		tile.W = int(rest)
	}
	path := strings.Replace(publicPath(tile), "tile/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return nil, err
	}
	for skip := index % 256; ; skip-- {
		length := int(binary.BigEndian.Uint16(data))
		if skip == 0 {
			return data[2 : 2+length], nil
		}
		data = data[2+length:]
	}
}

// files reads tiles from a folder in the layout of C2SP tlog-tiles, which leaves the height out.
type files string

func (f files) Height() int { return height }

func (f files) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for number, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(string(f), publicPath(tile)))
		if err != nil {
			return nil, err
		}
		found[number] = data
	}
	return found, nil
}

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func publicPath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

// tiles lists what a tree that grew has to publish.
func tiles(arguments []string) (any, error) {
	sizes := make([]int64, 2)
	for number := range sizes {
		size, err := strconv.ParseInt(arguments[number], 10, 64)
		if err != nil {
			return nil, err
		}
		sizes[number] = size
	}
	paths := []string{}
	for _, tile := range tlog.NewTiles(height, sizes[0], sizes[1]) {
		paths = append(paths, publicPath(tile))
	}
	return paths, nil
}

// check tells of each proof whether the library takes it.
func check([]string) (any, error) {
	verdicts := []bool{}
	input := json.NewDecoder(os.Stdin)
	for {
		var claim struct {
			Index, Old *int64
			Size       int64
			Leaf, Root tlog.Hash
			OldRoot    tlog.Hash `json:"old_root"`
			Proof      []tlog.Hash
		}
		if err := input.Decode(&claim); err == io.EOF {
			return verdicts, nil
		} else if err != nil {
			return nil, err
		}
		var err error
		if claim.Index != nil {
			err = tlog.CheckRecord(claim.Proof, claim.Size, claim.Root, *claim.Index, claim.Leaf)
		} else {
			err = tlog.CheckTree(claim.Proof, claim.Size, claim.Root, *claim.Old, claim.OldRoot)
		}
		verdicts = append(verdicts, err == nil)
	}
}

// sign makes a key of this name, and a note of the text on the standard input.
func sign(arguments []string) (any, error) {
	private, public, err := note.GenerateKey(rand.Reader, arguments[0])
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	return map[string]string{"key": public, "note": string(signed)}, err
}
