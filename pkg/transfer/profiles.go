package transfer

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/statefile"
)

// Profiles is what was learned about registries while they were used: what they
// refused, and what they kept when a connection broke. Nothing is ever sent to
// find something out. It is safe for concurrent use.
type Profiles struct {
	name string
	now  func() time.Time

	mu     sync.Mutex
	loaded bool
	hosts  map[string]profile
}

// profile is what was learned about the registry at one host and port.
type profile struct {
	traits
	Learned int64 `json:"learned"` // Unix time of the newest of it
}

// profilesFile is the form on disk.
type profilesFile struct {
	Version int                `json:"version"`
	Hosts   map[string]profile `json:"hosts"`
}

const profilesVersion = 1

// profileLife is how long something learned is believed: registries are
// updated.
const profileLife = 30 * 24 * time.Hour

// NewProfiles returns the Profiles that are kept in the file name; with an empty
// name they last as long as the value. A file that is missing, damaged or of
// another user is as good as empty.
func NewProfiles(name string) *Profiles {
	return &Profiles{name: name, now: time.Now, hosts: map[string]profile{}}
}

// of returns how the registry at host takes blobs.
func (p *Profiles) of(host string) traits {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load()
	return p.hosts[host].over(traitsOf(host))
}

// learn adds what t knows about the registry at host.
func (p *Profiles) learn(ctx context.Context, host string, t traits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load()
	if p.hosts[host].over(traitsOf(host)) == t.over(p.hosts[host].over(traitsOf(host))) {
		return // no news
	}
	p.hosts[host] = profile{traits: t.over(p.hosts[host].traits), Learned: p.now().Unix()}
	p.save(ctx)
}

func (p *Profiles) load() {
	if p.loaded || p.name == "" {
		return
	}
	p.loaded = true
	raw, err := statefile.Read(p.name, limits.ProfilesBytes)
	if err == nil {
		p.merge(raw)
	}
}

// merge adds what a file says where nothing newer is known.
func (p *Profiles) merge(raw []byte) {
	var f profilesFile
	if json.Unmarshal(raw, &f) != nil || f.Version != profilesVersion || len(f.Hosts) > limits.Profiles {
		return
	}
	now := p.now()
	for host, theirs := range f.Hosts {
		age := now.Sub(time.Unix(theirs.Learned, 0))
		if !theirs.valid() || age > profileLife || age < 0 {
			continue
		}
		mine := p.hosts[host]
		if mine.Learned >= theirs.Learned {
			p.hosts[host] = profile{traits: mine.over(theirs.traits), Learned: mine.Learned}
		} else {
			p.hosts[host] = profile{traits: theirs.over(mine.traits), Learned: theirs.Learned}
		}
	}
}

func (t traits) valid() bool {
	facts := []fact{"", yes, no}
	return slices.Contains(facts, t.Stream) && slices.Contains(facts, t.Chunks) &&
		slices.Contains([]keeps{"", keepsNothing, keepsChunks, keepsBytes}, t.Resume) && t.MaxChunk >= 0
}

// save puts everything on disk. That it cannot be written costs only that it is
// learned again.
func (p *Profiles) save(ctx context.Context) {
	if p.name == "" {
		return
	}
	f, err := statefile.LockWithin(ctx, p.name, time.Second)
	if err != nil {
		return
	}
	defer f.Close()
	if raw, err := f.Read(limits.ProfilesBytes); err == nil {
		p.merge(raw)
	}
	for len(p.hosts) > limits.Profiles {
		oldest := ""
		for host, e := range p.hosts {
			if oldest == "" || e.Learned < p.hosts[oldest].Learned {
				oldest = host
			}
		}
		delete(p.hosts, oldest)
	}
	if raw, err := artifacttypes.Marshal(profilesFile{Version: profilesVersion, Hosts: p.hosts}); err == nil {
		_ = f.Replace(raw)
	}
}
