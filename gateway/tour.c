// SPDX-License-Identifier: Apache-2.0
//
// tour.c: the mail's way; see tour.h for the picture.
#include "gateway/tour.h"

#include "base/assert.h"

static void come_home(struct ring *ring, struct ring_mail *mail)
{
    struct tour *t = container_of(mail, struct tour, mail);
    ASSERT(ring == t->home->net.ring);
    t->done(t);
}

static void arrive(struct ring *ring, struct ring_mail *mail)
{
    struct tour *t = container_of(mail, struct tour, mail);
    struct gateway *g = t->gateway;
    struct gateway_core *core = g->core[t->next];
    ASSERT(ring == core->net.ring);
    if (!t->visit(t, core))
        ring_mail_send(ring, ring, mail, arrive);
    else if (++t->next < g->cores)
        ring_mail_send(ring, g->core[t->next]->net.ring, mail, arrive);
    else
        ring_mail_send(ring, t->home->net.ring, mail, come_home);
}

void tour_start(struct tour *t, struct gateway_core *home, tour_visit_fn visit, tour_done_fn done)
{
    struct gateway *g = home->gateway;
    ASSERT(g->cores > 0 && visit != NULL && done != NULL);
    t->gateway = g;
    t->home = home;
    t->next = 0;
    t->visit = visit;
    t->done = done;
    ring_mail_send(home->net.ring, g->core[0]->net.ring, &t->mail, arrive);
}
