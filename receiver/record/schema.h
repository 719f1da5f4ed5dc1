/* SPDX-License-Identifier: GPL-2.0-or-later */
/* schema.h - the tables of receiver.db, for the journal that writes them and the command line that reads them.
 *
 * Times named `*_at`, `at`, `started`, ... are Unix seconds, as told to people. Columns ending in `_ns` are instants of the
 * judging clock, which only the receiver needs (to go on after a restart exactly where it was). */
#ifndef RECEIVER_RECORD_SCHEMA_H
#define RECEIVER_RECORD_SCHEMA_H

#define SCHEMA_VERSION 3 /* PRAGMA user_version */

/* Of a row of `hosts`: the earliest second told by a line that is not in the checkpoint, NULL for none. */
#define SCHEMA_UNWRITTEN_FROM "(SELECT min(at) FROM transitions WHERE host = hosts.id AND number > hosts.lines)"

/* clang-format off */
#define SCHEMA_SQL                                                                                                     \
    "CREATE TABLE hosts ("                                                                                             \
    "  id INTEGER PRIMARY KEY,"           /* never reused */                                                           \
    "  name TEXT NOT NULL UNIQUE,"                                                                                     \
    "  alias TEXT,"                       /* the name before, until it was heard under this one */                     \
    "  moved_from TEXT,"                  /* its folder is still called so; NULL: it is moved */                       \
    "  first_at INTEGER NOT NULL,"        /* first heartbeat */                                                        \
    "  checkpoint BLOB,"                  /* state of the host in the core, NULL until the first flush */              \
    "  position INTEGER NOT NULL,"        /* last fact of the journal that the checkpoint contains */                  \
    "  written_to INTEGER NOT NULL,"      /* state.rrd is written up to this second, 0 for not at all ... */           \
    "  lines INTEGER NOT NULL DEFAULT 0," /* ... from this many lines of the log ... */                                \
    "  changed_from INTEGER,"             /* ... of which some are not in it yet, from this second on */               \
    "  to_forget INTEGER);"               /* 1: asked for while the receiver was stopped; NULL: no */                  \
    "CREATE TABLE transitions ("          /* the log: append only, the truth */                                        \
    "  id INTEGER PRIMARY KEY,"                                                                                        \
    "  host INTEGER NOT NULL REFERENCES hosts(id),"                                                                    \
    "  number INTEGER NOT NULL,"          /* counts the lines of this host, from 1 */                                  \
    "  at INTEGER NOT NULL,"              /* from here on ... (takes back earlier lines from `at` on) */               \
    "  state TEXT NOT NULL,"              /* ... the host was up, down, admin, unknown */                              \
    "  cause TEXT NOT NULL,"                                                                                           \
    "  earliest INTEGER NOT NULL,"        /* bounds of the true instant */                                             \
    "  latest INTEGER NOT NULL,"                                                                                       \
    "  decided INTEGER NOT NULL,"         /* when the receiver said so */                                              \
    "  restates INTEGER,"                 /* number of the line that this one corrects */                              \
    "  UNIQUE (host, number));"                                                                                        \
    "CREATE TABLE relabels ("              /* what people said about outages afterwards: append only */                \
    "  id INTEGER PRIMARY KEY,"                                                                                        \
    "  host INTEGER NOT NULL REFERENCES hosts(id),"                                                                    \
    "  number INTEGER NOT NULL,"           /* line of the log that first told of the outage; of two rows the later counts */\
    "  to_end INTEGER NOT NULL,"           /* 1: it holds for all that follows before the host is up again */          \
    "  state TEXT NOT NULL,"               /* up, down, admin, unknown */                                              \
    "  reason TEXT NOT NULL,"                                                                                          \
    "  entered INTEGER NOT NULL,"                                                                                      \
    "  position INTEGER NOT NULL,"         /* last fact when it was entered: later checkpoints know of it */           \
    "  from_at INTEGER,"                   /* the outage as it was then ... */                                         \
    "  to_at INTEGER,"                     /* ... NULL: it went on */                                                  \
    "  origin TEXT,"                       /* the receiver where it was entered; NULL: this one */                     \
    "  origin_id INTEGER);"                /* what that one knows it by */                                             \
    "CREATE INDEX relabels_of_host ON relabels (host);"                                                                \
    "CREATE TABLE months ("                /* seconds of each month that ended; follows from the log, kept for reports */\
    "  host INTEGER NOT NULL REFERENCES hosts(id),"                                                                    \
    "  month TEXT NOT NULL,"               /* YYYY-MM ... */                                                           \
    "  zone TEXT NOT NULL,"                /* ... in this time zone */                                                 \
    "  up INTEGER NOT NULL,"                                                                                           \
    "  down INTEGER NOT NULL,"                                                                                         \
    "  unreachable INTEGER NOT NULL,"      /* part of `down` */                                                        \
    "  admin INTEGER NOT NULL,"                                                                                        \
    "  unknown INTEGER NOT NULL,"          /* also what lies before the first heartbeat */                             \
    "  PRIMARY KEY (host, month));"                                                                                    \
    "CREATE TABLE maintenance ("                                                                                       \
    "  id INTEGER PRIMARY KEY,"                                                                                        \
    "  pattern TEXT NOT NULL,"            /* host name or glob */                                                      \
    "  starts INTEGER NOT NULL,"                                                                                       \
    "  ends INTEGER,"                     /* NULL: until somebody ends it */                                           \
    "  starts_ns INTEGER NOT NULL,"                                                                                    \
    "  ends_ns INTEGER,"                                                                                               \
    "  reason TEXT NOT NULL,"                                                                                          \
    "  entered INTEGER NOT NULL,"                                                                                      \
    "  origin TEXT,"                      /* the receiver where it was entered; NULL: this one */                      \
    "  origin_id INTEGER);"               /* what that one knows it by */                                              \
    "CREATE TABLE runs ("                 /* of this receiver */                                                       \
    "  id INTEGER PRIMARY KEY,"                                                                                        \
    "  boot_id BLOB NOT NULL,"                                                                                         \
    "  started INTEGER NOT NULL,"                                                                                      \
    "  started_ns INTEGER NOT NULL,"                                                                                   \
    "  boottime_ns INTEGER NOT NULL,"     /* CLOCK_BOOTTIME at the start */                                            \
    "  alive INTEGER NOT NULL,"           /* last mark: it ran until here at least */                                  \
    "  alive_ns INTEGER NOT NULL,"                                                                                     \
    "  clean INTEGER NOT NULL DEFAULT 0);" /* 1: it said goodbye */                                                    \
    "CREATE TABLE labels ("               /* what wall time instants are told under, from `from_ns` on: */             \
    "  id INTEGER PRIMARY KEY,"                                                                                        \
    "  from_ns INTEGER NOT NULL,"                                                                                      \
    "  offset_ns INTEGER NOT NULL,"       /* the instant + this ... */                                                 \
    "  base_ns INTEGER NOT NULL,"         /* ... but not before this, */                                               \
    "  slow INTEGER NOT NULL);"           /* 1: which moves on at 99 % */                                              \
    "CREATE TABLE absences ("             /* when this receiver could not observe */                                   \
    "  id INTEGER PRIMARY KEY,"                                                                                        \
    "  started INTEGER NOT NULL,"                                                                                      \
    "  ended INTEGER,"                    /* NULL: it goes on */                                                       \
    "  started_ns INTEGER NOT NULL UNIQUE,"                                                                            \
    "  ended_ns INTEGER,"                                                                                              \
    "  position INTEGER NOT NULL,"        /* number of its fact in the journal */                                      \
    "  cause TEXT NOT NULL);"                                                                                          \
    "CREATE TABLE journal ("              /* accepted heartbeats and the like since the checkpoints */                 \
    "  position INTEGER PRIMARY KEY,"     /* number of the first fact in it */                                         \
    "  facts BLOB NOT NULL);"                                                                                          \
    "PRAGMA user_version = 3;"
/* clang-format on */

#endif
