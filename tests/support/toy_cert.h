// SPDX-License-Identifier: Apache-2.0
//
// toy_cert.h: an authority and certificates made for one test run; no key outlives it.
#ifndef RINGGATE_TESTS_TOY_CERT_H
#define RINGGATE_TESTS_TOY_CERT_H

#include "net/tls.h"

struct toy_cert {
    char ca_pem[2048];
    char cert_pem[2048];
    char key_pem[512];
    char cert_file[64];
    char key_file[64];
};

// A fresh CA and a certificate it signed for the name or address ("10.0.0.1"), or for several names
// ("a.test,*.b.test").
void toy_cert_make(struct toy_cert *c, const char *name);
void toy_cert_done(struct toy_cert *c); // removes the files

#endif
