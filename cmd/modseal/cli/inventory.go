package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/inventory"
)

type inventoryFlags struct {
	option.Output
	option.Registry
	qr    bool
	qrDir string
}

func (a *app) inventoryCommand() *cobra.Command {
	var f inventoryFlags
	cmd := &cobra.Command{
		Use:   "inventory TARGET…",
		Short: "List what a site has, for another one that is to send only what is new",
		Long: `List the models and the large layers that are at TARGET: a repository, a tag or a glob of
tags in it, a layout (oci:PATH) or an archive (archive:FILE); without a tag, all that is
there. Give the list to "modseal save --since" on the other side.

The list is text that can be typed over: a line for each model and each layer of 64 KiB
and more, each with check symbols, so that "modseal save" names the line with a mistake.
With --output json it has whole digests, names and sizes; with --qr it is shown as QR
codes, and with --qr-dir written as images of them. "modseal save --since" reads all of
these, the texts of QR codes in any order.

The list proves nothing, and nothing rests on it: when it is wrong, the archive that was
made for it is refused where a layer is missing.`,
		Example: `  # on the far side
  modseal inventory oci:/srv/models > have.txt
  modseal inventory registry.site.example/ml/llama registry.site.example/ml/embed --qr

  # on the near side
  modseal save 'registry.example.com/team/llama:*' -o june.tar --since have.txt --policy policy.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, errors.New("TARGET is missing"))
			}
			return nil
		},
	}
	f.Output.AddFlags(cmd.Flags())
	f.Registry.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&f.qr, "qr", false, "show QR codes in place of the text")
	cmd.Flags().StringVar(&f.qrDir, "qr-dir", "", "write QR codes as PNG files into `DIR`, and show the text too")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if f.JSON() && (f.qr || f.qrDir != "") {
			return usageError(cmd, errors.New("QR codes hold the text: leave out --output json, or --qr and --qr-dir"))
		}
		return nil
	}
	cmd.ValidArgsFunction = a.completeTarget
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runInventory(cmd.Context(), args, &f) }
	return cmd
}

func (a *app) runInventory(ctx context.Context, targets []string, f *inventoryFlags) error {
	client, err := a.client(&f.Registry, nil)
	if err != nil {
		return err
	}
	inv, err := client.Inventory(ctx, targets)
	if err != nil {
		return err
	}
	if len(inv.Artifacts)+len(inv.Blobs) == 0 {
		a.warn(&f.Output, fmt.Sprintf("nothing to list: %s: no tags, or not there", strings.Join(targets, ", ")))
	}
	if f.JSON() {
		return render.JSON(a.out, inv)
	}
	codes, err := a.codes(inv, f)
	if err != nil {
		return err
	}
	if f.qr {
		for i, c := range codes {
			fmt.Fprintf(a.out, "QR code %d of %d\n", i+1, len(codes))
			c.Draw(a.out, a.env.terminal(a.out))
		}
		return nil
	}
	text, err := inv.Text()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "# %s, %s, %s\n", render.Count(len(inv.Artifacts), "model"), render.Count(len(inv.Blobs), "layer"), render.Bytes(inv.Size()))
	_, err = io.WriteString(a.out, text)
	return err
}

// codes makes the QR codes, and writes their images where that is wanted.
func (a *app) codes(inv *inventory.Inventory, f *inventoryFlags) ([]*render.QR, error) {
	if !f.qr && f.qrDir == "" {
		return nil, nil
	}
	texts, err := inv.Codes()
	if err != nil {
		return nil, err
	}
	codes := make([]*render.QR, len(texts))
	for i, text := range texts {
		if codes[i], err = render.NewQR(text); err != nil {
			return nil, err
		}
	}
	if f.qrDir == "" {
		return codes, nil
	}
	if err := os.MkdirAll(f.qrDir, 0o755); err != nil {
		return nil, err
	}
	for i, c := range codes {
		name := filepath.Join(f.qrDir, fmt.Sprintf("inventory-%d-of-%d.png", i+1, len(codes)))
		if err := writeOnce(name, c.PNG()); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// writeOnce writes a file that must not exist or have the same bytes already.
func writeOnce(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if have, readErr := os.ReadFile(name); readErr == nil && bytes.Equal(have, data) {
			return nil
		}
		return fmt.Errorf("%w and is another one; choose another directory", err)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
