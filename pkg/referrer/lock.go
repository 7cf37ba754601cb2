package referrer

import (
	"context"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/modseal/modseal/pkg/partial"
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

// machineTarget is a target that knows a directory in which the processes of this
// machine keep away from each other.
type machineTarget interface{ LockDir() string }

// lockSubject waits until nobody else on this machine changes the list of
// referrers of subject in t: nobody in this process, and where t knows a directory
// for that, in no other.
func lockSubject(ctx context.Context, t Source, subject ocispec.Descriptor) (unlock func(), err error) {
	key := subject.Digest.String()
	// Targets without a name share a lock: slower, never wrong.
	if r, ok := t.(registryTarget); ok {
		ref := r.Reference()
		key = ref.Host() + "/" + ref.Repository + "@" + key
	}
	leave, err := lockInProcess(ctx, key)
	if err != nil {
		return nil, err
	}
	m, ok := t.(machineTarget)
	if !ok || m.LockDir() == "" {
		return leave, nil
	}
	release, err := lockOnMachine(ctx, m.LockDir(), key)
	if err != nil {
		leave()
		return nil, err
	}
	return func() { release(); leave() }, nil
}

// lockOnMachine waits for a file lock. Where there can be none, there is none: the
// list is read back whoever else writes it.
func lockOnMachine(ctx context.Context, dir, key string) (release func(), err error) {
	none := func() {}
	if os.MkdirAll(dir, 0o700) != nil {
		return none, nil //nolint:nilerr // see above
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return none, nil //nolint:nilerr // see above
	}
	lock, err := partial.Acquire(ctx, root, "referrers-"+digest.FromString(key).Encoded())
	if err != nil {
		_ = root.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return none, nil
	}
	return func() {
		lock.Release()
		_ = root.Close()
	}, nil
}

// lockInProcess waits until nobody else in this process has the lock of key.
func lockInProcess(ctx context.Context, key string) (unlock func(), err error) {
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
