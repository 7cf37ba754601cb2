package option

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/statement"
)

// Directory says which files of a directory (or which one file) are a model. The
// flags have the names of model_signing where it has them.
type Directory struct {
	IgnorePaths    []string
	IgnoreGit      bool
	NoIgnoreGit    bool
	AllowSymlinks  bool
	FollowSymlinks bool
	UseCache       bool
}

// AddFlags adds the flags of the group.
func (d *Directory) AddFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&d.IgnorePaths, "ignore-paths", nil, "of a directory: leave out this `PATH`, and what is below it; relative to where the command runs, as every path is (may be repeated)")
	fs.BoolVar(&d.IgnoreGit, "ignore-git-paths", true, "of a directory: leave out .git, .github, .gitignore and .gitattributes at its top")
	fs.BoolVar(&d.NoIgnoreGit, "no-ignore-git-paths", false, "of a directory: the opposite of --ignore-git-paths")
	fs.BoolVar(&d.FollowSymlinks, "follow-symlinks", false, "of a directory: take what symbolic links that stay inside it point to for files of it")
	fs.BoolVar(&d.AllowSymlinks, "allow-symlinks", false, "of a directory: as --follow-symlinks, and a signature that is made says that links were followed")
	fs.BoolVar(&d.UseCache, "use-cache", false, "of a directory: believe the remembered digests of files that were not touched since they were read; who can write to this machine's cache or disk can deceive it")
}

// DirectoryFlags are the names of flags that mean nothing for what is in a
// registry.
func DirectoryFlags() []string {
	return []string{
		"signature", "ignore-paths", "ignore-git-paths", "no-ignore-git-paths", "allow-symlinks", "follow-symlinks", "use-cache",
		"hash", "method", "shard-size", "shard-suffix", "ignore-unsigned-files", "no-ignore-unsigned-files", "strict", "legacy-predicate",
	}
}

// Options returns what the group says about the directory dir.
func (d *Directory) Options(dir string) (modseal.DirectoryOptions, error) {
	o := modseal.DirectoryOptions{
		FollowSymlinks: d.FollowSymlinks,
		AllowSymlinks:  d.AllowSymlinks,
		GitPaths:       d.NoIgnoreGit || !d.IgnoreGit,
		UseCache:       d.UseCache,
	}
	for _, p := range d.IgnorePaths {
		below := modseal.PathBelow(dir, p)
		if below == "" {
			return o, fmt.Errorf("--ignore-paths %s: it is not below %s; paths are relative to where the command runs, such as %s", p, dir, filepath.Join(dir, "NAME"))
		}
		o.IgnorePaths = append(o.IgnorePaths, below)
	}
	return o, nil
}

// Hashing says how the files of a directory are hashed.
type Hashing struct {
	Hash      string
	Method    string
	ShardSize int64
}

// AddFlags adds the flags of the group.
func (h *Hashing) AddFlags(fs *pflag.FlagSet) {
	h.Hash, h.Method = statement.HashSHA256, statement.MethodFiles
	fs.Var(oneOf(&h.Hash, statement.HashTypes()...), "hash", "of a directory: how files are hashed: sha256, blake2b or blake3 (the command line of model_signing knows only sha256)")
	fs.Var(oneOf(&h.Method, statement.MethodFiles, statement.MethodShards), "method", "of a directory: hash whole files, or shards of them")
	fs.Int64Var(&h.ShardSize, "shard-size", 0, "of a directory: `BYTES` of a shard; it implies --method shards (default 1000000000)")
}

// Set puts the group into o.
func (h *Hashing) Set(fs *pflag.FlagSet, o *modseal.DirectoryOptions) error {
	o.HashType, o.ShardSize = h.Hash, h.ShardSize
	switch sized := fs.Changed("shard-size"); {
	case sized && h.ShardSize <= 0:
		return fmt.Errorf("--shard-size %d: at least one byte is needed", h.ShardSize)
	case sized && fs.Changed("method") && h.Method == statement.MethodFiles:
		return errors.New("--shard-size and --method files contradict each other: use one of them")
	case !sized && h.Method == statement.MethodShards:
		o.ShardSize = statement.DefaultShardSize
	}
	return nil
}
