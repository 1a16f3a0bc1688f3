// SPDX-License-Identifier: Apache-2.0
//
// h2spec at the versions of go.sum, for tools/h2spec: a program of our own around its library, since
// the module proxy's newest would be another program every day.
package main

import (
	"flag"
	"os"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

func main() {
	port := flag.Int("port", 0, "of the gateway on 127.0.0.1")
	path := flag.String("path", "/", "that is asked for")
	tls := flag.Bool("tls", false, "speak TLS and trust whoever answers")
	report := flag.String("report", "", "JUnit file to write")
	flag.Parse()
	ok, err := h2spec.Run(&config.Config{
		Host: "127.0.0.1", Port: *port, Path: *path, Timeout: 2 * time.Second,
		MaxHeaderLen: 4000, JUnitReport: *report, TLS: *tls, Insecure: *tls,
	})
	if err != nil {
		println(err.Error())
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}
