package referrer

import (
	"context"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
)

// subjects holds a lock for each subject that is being attached to in this
// process, whatever client values are used for it.
var subjects = struct {
	sync.Mutex
	locks map[string]*subjectLock
}{locks: map[string]*subjectLock{}}

type subjectLock struct {
	held  chan struct{}
	users int
}

// registryTarget is a target that others write to at the same time without any
// lock between them.
type registryTarget interface{ Reference() registry.Reference }

func isRegistry(t Source) bool {
	_, ok := t.(registryTarget)
	return ok
}

// lockSubject waits until nobody else in this process changes the list of
// referrers of subject in t.
func lockSubject(ctx context.Context, t Source, subject ocispec.Descriptor) (unlock func(), err error) {
	key := subject.Digest.String()
	// Targets without a name share a lock: slower, never wrong.
	if r, ok := t.(registryTarget); ok {
		ref := r.Reference()
		key = ref.Host() + "/" + ref.Repository + "@" + key
	}
	subjects.Lock()
	l := subjects.locks[key]
	if l == nil {
		l = &subjectLock{held: make(chan struct{}, 1)}
		subjects.locks[key] = l
	}
	l.users++
	subjects.Unlock()
	leave := func() {
		subjects.Lock()
		defer subjects.Unlock()
		if l.users--; l.users == 0 {
			delete(subjects.locks, key)
		}
	}
	select {
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	}
}
