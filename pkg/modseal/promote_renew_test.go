//go:build unix

package modseal

import (
	"testing"
	"time"
)

// A summary that is older than the caller wants is made anew, and one that is not
// is kept.
func TestSummaryIsRenewed(t *testing.T) {
	t.Parallel()
	c, source, private, public := signedModel(t)
	destination := "oci:" + t.TempDir() + ":v1"
	promote := func(renew time.Duration) *PromoteVSA {
		t.Helper()
		res, err := c.Promote(t.Context(), source, destination, PromoteOptions{
			Trust: TrustOptions{Keys: []string{public}}, Sign: attestWith(private, "vsa", "{}").Sign, Renew: renew,
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.VSA == nil {
			t.Fatalf("%+v has no summary", res)
		}
		return res.VSA
	}
	first := promote(0)
	if kept := promote(time.Hour); !kept.Existed || kept.Digest != first.Digest {
		t.Errorf("a young summary was not kept: %+v, and it was %+v", kept, first)
	}
	renewed := promote(time.Nanosecond)
	if renewed.Existed || renewed.Digest == first.Digest {
		t.Errorf("an old summary was kept: %+v", renewed)
	}
	if kept := promote(0); !kept.Existed || kept.Digest != renewed.Digest {
		t.Errorf("the newest summary was not kept: %+v, and it was %+v", kept, renewed)
	}
}
