package cli

import (
	"os"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
	"github.com/modseal/modseal/cmd/modseal/cli/render"
	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/remote"
	"github.com/modseal/modseal/pkg/sign/keyref"
)

// client makes the library's client of a command with the registry flags r.
func (a *app) client(r *option.Registry, p *render.Progress) (*modseal.Client, error) {
	options := modseal.Options{
		Registry: a.registryOptions(r), StateDir: a.env.stateDir(), TrustDir: a.env.trustDir(),
		Keys: keyref.New(keyref.Options{Getenv: os.LookupEnv}),
	}
	if p != nil {
		options.Progress = p
	}
	client, err := modseal.New(options)
	if err == nil {
		a.clients = append(a.clients, client)
	}
	return client, err
}

// localClient makes the client of a command that asks no registry: no logins and no
// mirrors are read, which may be broken or not for it to see.
func (a *app) localClient() (*modseal.Client, error) {
	client, err := modseal.New(modseal.Options{
		Registry: remote.Options{UserAgent: userAgent(), Proxy: proxyFromEnvironment},
		StateDir: a.env.stateDir(), TrustDir: a.env.trustDir(),
	})
	if err == nil {
		a.clients = append(a.clients, client)
	}
	return client, err
}

func (a *app) registryOptions(r *option.Registry) remote.Options {
	hosts := r.HostsDir
	switch hosts {
	case "":
		hosts = a.env.hostsDir()
	case option.HostsNone:
		hosts = ""
	}
	return remote.Options{
		HostsDir:   hosts,
		PlainHTTP:  r.PlainHTTP,
		CAFile:     r.CAFile,
		ClientCert: r.ClientCert,
		ClientKey:  r.ClientKey,
		Insecure:   r.Insecure,
		UserAgent:  userAgent(),
		Credential: remote.CredentialsIn(a.env.credentialFiles()),
		Proxy:      proxyFromEnvironment,
	}
}
