"""The tables of the trail in PostgreSQL, step by step, and how an older schema becomes this one."""

from __future__ import annotations

from careweir import postgres
from careweir.audit.entry import LIFTED
from careweir.postgres import SITE_SETTING

WRITER_ROLE = "careweir_audit_writer"
READER_ROLE = "careweir_audit_reader"
POLICIES = ("entry_all_to_the_writer", "entry_of_the_readers_site")
OWNER_LOCK = 0x63727772

_SCHEMA_1 = f"""
CREATE SCHEMA careweir_audit;
CREATE TABLE careweir_audit.schema_version (version integer PRIMARY KEY);
CREATE SEQUENCE careweir_audit.position;
CREATE TABLE careweir_audit.entry (
  position bigint NOT NULL DEFAULT nextval('careweir_audit.position'),
  writer text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL,
  mac bytea NOT NULL,
  body bytea NOT NULL,
  actor text, client text, disclosure text, inference text, outcome text, patient_key text,
  recorded text COLLATE "C" NOT NULL,
  tool text,
  type text NOT NULL,
  PRIMARY KEY (writer, seq, recorded)
) PARTITION BY RANGE (recorded);
CREATE TABLE careweir_audit.seal (
  start bigint PRIMARY KEY,
  size bigint NOT NULL,
  ranges text NOT NULL,
  note text NOT NULL
);
CREATE INDEX entry_position ON careweir_audit.entry (position);
CREATE INDEX entry_recorded ON careweir_audit.entry USING brin (recorded);
CREATE INDEX entry_type ON careweir_audit.entry (type, position);
CREATE INDEX entry_disclosure ON careweir_audit.entry (disclosure, type);
CREATE INDEX entry_inference ON careweir_audit.entry (inference, position);
CREATE INDEX entry_patient ON careweir_audit.entry (patient_key, position);
CREATE INDEX entry_actor ON careweir_audit.entry (actor, position);
CREATE INDEX entry_tool ON careweir_audit.entry (tool, position);
CREATE FUNCTION careweir_audit.refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'an audit entry is never changed or removed'; END $$;
CREATE TRIGGER entry_no_change BEFORE UPDATE OR DELETE ON careweir_audit.entry
  FOR EACH ROW EXECUTE FUNCTION careweir_audit.refuse();
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON careweir_audit.entry
  FOR EACH STATEMENT EXECUTE FUNCTION careweir_audit.refuse();
CREATE TRIGGER seal_no_change BEFORE UPDATE OR DELETE ON careweir_audit.seal
  FOR EACH ROW EXECUTE FUNCTION careweir_audit.refuse();
CREATE TRIGGER seal_no_truncate BEFORE TRUNCATE ON careweir_audit.seal
  FOR EACH STATEMENT EXECUTE FUNCTION careweir_audit.refuse();
CREATE FUNCTION careweir_audit.make_partition(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  part text := 'entry_' || to_char(month, 'YYYY_MM');
BEGIN
  PERFORM pg_advisory_xact_lock({OWNER_LOCK});
  IF to_regclass('careweir_audit.' || part) IS NULL THEN
    EXECUTE format(
      'CREATE TABLE careweir_audit.%I PARTITION OF careweir_audit.entry'
      ' FOR VALUES FROM (%L) TO (%L)',
      part, to_char(month, 'YYYY-MM'), to_char(month + interval '1 month', 'YYYY-MM'));
    EXECUTE format(
      'CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON careweir_audit.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION careweir_audit.refuse()', part);
  END IF;
END $$;
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{WRITER_ROLE}') THEN
    CREATE ROLE {WRITER_ROLE} NOLOGIN;
  END IF;
END $$;
GRANT USAGE ON SCHEMA careweir_audit TO {WRITER_ROLE};
GRANT SELECT ON careweir_audit.schema_version TO {WRITER_ROLE};
GRANT SELECT, INSERT ON careweir_audit.entry TO {WRITER_ROLE};
GRANT SELECT, INSERT ON careweir_audit.seal TO {WRITER_ROLE};
GRANT USAGE ON SEQUENCE careweir_audit.position TO {WRITER_ROLE};
REVOKE EXECUTE ON FUNCTION careweir_audit.make_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION careweir_audit.make_partition(date) TO {WRITER_ROLE};
"""  # noqa: S608
_SCHEMA_2 = "".join(
    [f"ALTER TABLE careweir_audit.entry ADD COLUMN {name} text;" for name in LIFTED]
    + [
        f"CREATE INDEX entry_{name} ON careweir_audit.entry ({name}, position)"
        f" WHERE {name} IS NOT NULL;"
        for name in ("client", "outcome", *LIFTED)
    ]
)
_SCHEMA_3 = f"""
CREATE TABLE careweir_audit.archive (
  start bigint PRIMARY KEY,
  size bigint NOT NULL,
  hashes bytea NOT NULL,
  file text NOT NULL
);
GRANT SELECT ON careweir_audit.archive TO {WRITER_ROLE};
"""
# Sites are tenants: a reader who belongs to one works as a role that sees its rows alone. The
# chain, the sealer and the verifier need every row. The owner, who can undo it, is not held to it.
# Since PostgreSQL 16 who makes a role may not yet work as it, hence the grant to the owner; where
# others made the roles beforehand, they have granted them too.
_SCHEMA_4 = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER_ROLE}') THEN
    CREATE ROLE {READER_ROLE} NOLOGIN;
  END IF;
END $$;
DO $$ BEGIN
  GRANT {WRITER_ROLE} TO CURRENT_USER;
  GRANT {READER_ROLE} TO {WRITER_ROLE};
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$;
GRANT USAGE ON SCHEMA careweir_audit TO {READER_ROLE};
GRANT SELECT ON careweir_audit.entry TO {READER_ROLE};
ALTER TABLE careweir_audit.entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY {POLICIES[0]} ON careweir_audit.entry TO {WRITER_ROLE}
  USING (true) WITH CHECK (true);
CREATE POLICY {POLICIES[1]} ON careweir_audit.entry FOR SELECT TO {READER_ROLE}
  USING (site = current_setting('{SITE_SETTING}', true));
"""
STEPS = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4)  # step n leads from schema n to schema n + 1


async def migrate(url: str) -> None:
    """Bring the trail's schema up to date; see ``careweir.postgres``."""
    await postgres.migrate(
        url, what="the audit database", schema="careweir_audit", steps=STEPS, lock=OWNER_LOCK
    )
