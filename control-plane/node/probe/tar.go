package main

import (
	archive "archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tar packs and unpacks as `kubectl cp` asks for it: `tar cf - PATH`, `tar -xmf - [-C DIR]`.
func tar(args []string) error {
	if len(args) < 2 || args[1] != "-" {
		return errors.New("expected `cf - PATH…` or `xf - [-C DIR]`")
	}
	dir, paths := ".", []string{}
	for rest := args[2:]; len(rest) > 0; rest = rest[1:] {
		switch {
		case rest[0] == "-C" && len(rest) > 1:
			dir, rest = rest[1], rest[1:]
		case strings.HasPrefix(rest[0], "-"):
			return fmt.Errorf("unknown option `%s`", rest[0])
		default:
			paths = append(paths, rest[0])
		}
	}
	switch verb := strings.TrimLeft(args[0], "-"); {
	case strings.HasPrefix(verb, "c"):
		return pack(os.Stdout, paths)
	case strings.HasPrefix(verb, "x"):
		return unpack(os.Stdin, dir)
	default:
		return fmt.Errorf("neither packs nor unpacks: `%s`", args[0])
	}
}

func pack(out io.Writer, paths []string) error {
	writer := archive.NewWriter(out)
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return packOne(writer, path)
		})
		if err != nil {
			return err
		}
	}
	return writer.Close()
}

func packOne(writer *archive.Writer, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := archive.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name = strings.TrimLeft(path, "/")
	if err := writer.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(writer, file)
	return err
}

// unpack makes plain files and folders; anything else in the archive is an error.
func unpack(in io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for reader := archive.NewReader(in); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(strings.TrimLeft(header.Name, "/"))
		switch header.Typeflag {
		case archive.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case archive.TypeReg:
			err = unpackFile(root, name, header.FileInfo().Mode().Perm(), reader)
		default:
			err = fmt.Errorf("`%s` is neither a file nor a folder", header.Name)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, mode fs.FileMode, from io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, from); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
