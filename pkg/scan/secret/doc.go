// Package secret finds credentials in text by the rules of gitleaks.
//
// The rules are gitleaks.toml, the default configuration of gitleaks v8.30.1
// (https://github.com/gitleaks/gitleaks/blob/v8.30.1/config/gitleaks.toml), byte by
// byte, under the licence in gitleaks.LICENSE. They are data here and the program is
// not linked: its detector brings 42 modules, with archives, configuration, logging
// and a template engine, and makes modseal 4.5 MB larger (go build -ldflags '-s -w',
// go version -m).
//
// What a rule says is applied as gitleaks applies it, with these differences: text is
// not decoded from base64 or hexadecimal first, and a comment gitleaks:allow in the
// text changes nothing, since the text is not that of whoever asks.
package secret
