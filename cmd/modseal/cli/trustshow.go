package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/trust"
)

// writeTrustShow writes a table, or each item in full.
func writeTrustShow(w io.Writer, r *modseal.TrustShow, full bool) {
	if len(r.Items) == 0 {
		fmt.Fprintf(w, "nothing is in the trust store %s\n", render.Clean(r.Store))
		return
	}
	if r.Digest != "" {
		fmt.Fprintf(w, "%s\n%s\n\n", render.Clean(r.File), r.Digest)
	}
	if !full {
		writeTrustItems(w, r.Items)
		for _, it := range r.Items {
			for _, text := range it.Warnings {
				writeWarnings(w, string(it.Kind)+" "+it.Name+": "+text)
			}
		}
		return
	}
	for i, it := range r.Items {
		if i > 0 {
			fmt.Fprintln(w)
		}
		writeTrustItem(w, it)
	}
}

func writeTrustItems(w io.Writer, items []trust.Summary) {
	f := render.NewFields(w)
	for _, it := range items {
		f.Row(string(it.Kind), it.Name, render.Short(it.Digest.String()), string(it.State), fetchedText(it), it.Source)
	}
	f.Flush()
}

// writeTrustImport says what became of each item; store is where they are now,
// empty when they are not.
func writeTrustImport(w io.Writer, r *modseal.TrustImportResult, store string) {
	f := render.NewFields(w)
	for _, it := range r.Items {
		f.Row(string(it.Action), string(it.Kind), it.Name, render.Short(it.Digest.String()), string(it.State), fetchedText(it.Summary), it.Source)
	}
	f.Flush()
	for _, it := range r.Items {
		if it.Why != "" {
			fmt.Fprintf(w, "refused: %s %s: %s\n", it.Kind, it.Name, render.Clean(it.Why))
		}
	}
	switch {
	case r.DryRun:
		fmt.Fprintln(w, "nothing was imported: --dry-run")
	case store != "":
		fmt.Fprintln(w, "imported into "+render.Clean(store))
	}
}

func fetchedText(s trust.Summary) string { return "fetched " + agoText(s) }

func agoText(s trust.Summary) string {
	switch {
	case s.Fetched.IsZero():
		return "nobody knows when"
	case s.Age == nil:
		return "in the future, " + s.Fetched.Format(time.RFC3339)
	}
	return ageText(time.Duration(*s.Age)*time.Second) + " ago"
}

func ageText(d time.Duration) string {
	const dayLong = 24 * time.Hour
	switch {
	case d >= 2*dayLong:
		return render.Count(int(d/dayLong), "day")
	case d >= 2*time.Hour:
		return render.Count(int(d/time.Hour), "hour")
	}
	return render.Count(int(d/time.Minute), "minute")
}

func writeTrustItem(w io.Writer, s trust.Summary) {
	f := render.NewFields(w)
	f.Add(string(s.Kind), s.Name)
	f.Add("digest", s.Digest.String())
	f.Add("source", s.Source)
	if s.Age != nil {
		f.Add("fetched", agoText(s)+", "+s.Fetched.Format(time.RFC3339))
	} else {
		f.Add("fetched", agoText(s))
	}
	f.Add("state", string(s.State))
	f.Flush()
	f = render.NewFields(w)
	switch {
	case s.Root != nil:
		addMembers(f, "certificate authority", s.Root.CertificateAuthorities)
		addMembers(f, "CT log", s.Root.CTLogs)
		addMembers(f, "transparency log", s.Root.TransparencyLogs)
		addMembers(f, "timestamp authority", s.Root.TimestampAuthorities)
	case s.SigningConfig != nil:
		addServices(f, "certificate authority", s.SigningConfig.CertificateAuthorities)
		addServices(f, "OIDC provider", s.SigningConfig.OIDCProviders)
		addServices(f, "transparency log", s.SigningConfig.TransparencyLogs)
		addServices(f, "timestamp authority", s.SigningConfig.TimestampAuthorities)
	case s.Key != nil:
		f.Row("  key", s.Key.Algorithm, render.Short(s.Key.Fingerprint.String()))
	case s.Certificate != nil:
		addCertificates(f, "root", s.Certificate.Roots)
		addCertificates(f, "intermediate", s.Certificate.Intermediates)
	}
	f.Flush()
	writeWarnings(w, s.Warnings...)
}

func addMembers(f *render.Fields, what string, list []trust.MemberSummary) {
	for _, m := range list {
		f.Row("  "+what, string(m.State), windowText(m.Window), m.URL, m.Algorithm+" "+render.Short(m.Fingerprint.String()), m.Subject)
	}
}

func addServices(f *render.Fields, what string, list []trust.ServiceSummary) {
	for _, s := range list {
		f.Row("  "+what, string(s.State), windowText(s.Window), s.URL, fmt.Sprintf("API version %d", s.APIVersion), s.Operator)
	}
}

func addCertificates(f *render.Fields, what string, list []trust.CertificateSummary) {
	for _, c := range list {
		f.Row("  "+what, string(c.State), windowText(c.Window), c.Algorithm+" "+render.Short(c.Fingerprint.String()), c.Subject)
	}
}

func windowText(w trust.Window) string {
	text := "always"
	if !w.Start.IsZero() {
		text = w.Start.Format(time.DateOnly)
	}
	if w.End.IsZero() {
		return text + " to no end"
	}
	return text + " to " + w.End.Format(time.DateOnly)
}

func writeWarnings(w io.Writer, warnings ...string) {
	for _, text := range warnings {
		fmt.Fprintf(w, "warning: %s\n", render.Clean(text))
	}
}
