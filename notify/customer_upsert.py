"""The statements that carry a staged customer file into the directory, in order. What they keep to is written in
`notify.customer_import`; they are separate so that the rules can be read beside the SQL.
"""

# A line that was rejected but names its customer is staged with its number alone: `component IS NULL`.
STAGING = """
CREATE TEMPORARY TABLE staged_customers (
    line bigint, number text, name text, name_key text, language text, time_zone text,
    mail text, phone text, component text, reference text, needed_at timestamptz
) ON COMMIT DROP
"""

STAGED_COLUMNS = (
    *("line", "number", "name", "name_key", "language", "time_zone"),
    *("mail", "phone", "component", "reference", "needed_at"),
)

# Any constant will do, so long as nothing else in this database uses it.
LOCK = "SELECT pg_advisory_xact_lock(x'53544F524D494D50'::bigint)"

# Grouping a whole file is quicker in memory than on disk; the default of 4 MB is meant for small questions.
ROOM = "SET LOCAL work_mem = '64MB'"

_LATEST = """
CREATE TEMPORARY TABLE latest_customers ON COMMIT DROP AS
SELECT DISTINCT ON (number) number, name, name_key, language, time_zone
  FROM staged_customers
 WHERE component IS NOT NULL
 ORDER BY number, line DESC
"""

_CUSTOMERS_CHANGED = """
UPDATE customers
   SET name = latest.name, name_key = latest.name_key, language = latest.language, time_zone = latest.time_zone,
       updated_at = now()
  FROM latest_customers latest
 WHERE customers.number = latest.number
   AND (customers.name, customers.name_key, customers.language, customers.time_zone)
       IS DISTINCT FROM (latest.name, latest.name_key, latest.language, latest.time_zone)
"""

_CUSTOMERS_NEW = """
INSERT INTO customers (number, name, name_key, language, time_zone)
SELECT number, name, name_key, language, time_zone
  FROM latest_customers latest
 WHERE NOT EXISTS (SELECT FROM customers WHERE customers.number = latest.number)
 ORDER BY number
"""

_WANTED_ADDRESSES = """
CREATE TEMPORARY TABLE wanted_addresses ON COMMIT DROP AS
SELECT DISTINCT customers.id AS customer_id, given.channel, given.value
  FROM staged_customers staged
  JOIN customers ON customers.number = staged.number
 CROSS JOIN LATERAL (VALUES ('mail', staged.mail), ('sms', staged.phone)) AS given (channel, value)
 WHERE given.value IS NOT NULL
"""

# Who said STOP said it of the number, whoever it is listed for later.
_ADDRESSES_NEW = """
INSERT INTO addresses (customer_id, channel, value, consent)
SELECT customer_id, channel, value,
       coalesce((SELECT said.consent FROM consent_journal said
                  WHERE said.channel = wanted.channel AND said.value = wanted.value
                  ORDER BY said.id DESC LIMIT 1), true)
  FROM wanted_addresses wanted
 WHERE NOT EXISTS (SELECT FROM addresses WHERE addresses.customer_id = wanted.customer_id
                       AND addresses.channel = wanted.channel AND addresses.value = wanted.value)
 ORDER BY customer_id, channel, value
"""

_ADDRESSES_RETURNED = """
UPDATE addresses
   SET health = 'usable', suppressed_because = NULL
  FROM wanted_addresses wanted
 WHERE addresses.customer_id = wanted.customer_id
   AND addresses.channel = wanted.channel
   AND addresses.value = wanted.value
   AND addresses.suppressed_because = 'replaced'
"""

# A mailbox that gave a bounce or a complaint did so for everybody: whoever the file adds to it is not sent to either.
_ADDRESSES_KNOWN_BAD = """
WITH bad AS MATERIALIZED (
    SELECT DISTINCT ON (channel, value) channel, value, suppressed_because
      FROM addresses
     WHERE health = 'suppressed' AND suppressed_because IN ('hard_bounce', 'soft_bounces', 'complaint')
     ORDER BY channel, value, id
)
UPDATE addresses
   SET health = 'suppressed', suppressed_because = bad.suppressed_because
  FROM bad, wanted_addresses wanted
 WHERE addresses.channel = bad.channel AND addresses.value = bad.value AND addresses.health = 'usable'
   AND addresses.customer_id = wanted.customer_id AND addresses.channel = wanted.channel
   AND addresses.value = wanted.value
"""

# First the few addresses the file no longer names, then the questions about each; asked of everybody they are slow.
_ADDRESSES_REPLACED = """
WITH unnamed AS MATERIALIZED (
    SELECT id, customer_id, channel
      FROM addresses
     WHERE health = 'usable'
       AND customer_id IN (SELECT customer_id FROM wanted_addresses)
       AND NOT EXISTS (SELECT FROM wanted_addresses wanted
                        WHERE wanted.customer_id = addresses.customer_id AND wanted.channel = addresses.channel
                          AND wanted.value = addresses.value)
)
UPDATE addresses
   SET health = 'suppressed', suppressed_because = 'replaced'
  FROM unnamed
 WHERE addresses.id = unnamed.id
   AND EXISTS (SELECT FROM wanted_addresses wanted JOIN addresses other USING (customer_id, channel, value)
                WHERE wanted.customer_id = unnamed.customer_id AND wanted.channel = unnamed.channel
                  AND other.health = 'usable')
   AND NOT EXISTS (SELECT FROM staged_customers staged JOIN customers ON customers.number = staged.number
                    WHERE staged.component IS NULL AND customers.id = unnamed.customer_id)
"""

_LATEST_EXPOSURES = """
CREATE TEMPORARY TABLE latest_exposures ON COMMIT DROP AS
SELECT DISTINCT ON (customers.id, staged.component, staged.reference)
       customers.id AS customer_id, staged.component AS component_key, staged.reference, staged.needed_at
  FROM staged_customers staged
  JOIN customers ON customers.number = staged.number
 WHERE staged.component IS NOT NULL
 ORDER BY customers.id, staged.component, staged.reference, staged.line DESC
"""

_EXPOSURES_CHANGED = """
UPDATE exposures
   SET needed_at = latest.needed_at
  FROM latest_exposures latest
 WHERE exposures.customer_id = latest.customer_id
   AND exposures.component_key = latest.component_key
   AND exposures.reference = latest.reference
   AND exposures.needed_at IS DISTINCT FROM latest.needed_at
"""

_EXPOSURES_NEW = """
INSERT INTO exposures (customer_id, component_key, reference, needed_at)
SELECT customer_id, component_key, reference, needed_at
  FROM latest_exposures latest
 WHERE NOT EXISTS (SELECT FROM exposures WHERE exposures.customer_id = latest.customer_id
                       AND exposures.component_key = latest.component_key
                       AND exposures.reference = latest.reference)
 ORDER BY customer_id
"""

# (name, statement): the rows a named statement touches are counted under its name.
STATEMENTS = (
    ("", _LATEST),
    ("", "ANALYZE latest_customers"),
    ("customers_changed", _CUSTOMERS_CHANGED),
    ("customers_new", _CUSTOMERS_NEW),
    ("", _WANTED_ADDRESSES),
    ("", "ANALYZE wanted_addresses"),
    ("addresses_new", _ADDRESSES_NEW),
    ("addresses_returned", _ADDRESSES_RETURNED),
    ("", _ADDRESSES_KNOWN_BAD),
    ("addresses_replaced", _ADDRESSES_REPLACED),
    ("", _LATEST_EXPOSURES),
    ("", "ANALYZE latest_exposures"),
    ("exposures_changed", _EXPOSURES_CHANGED),
    ("exposures_new", _EXPOSURES_NEW),
    # Whoever is told next is found by a plan that knows of the rows just loaded; autovacuum would be a minute late.
    ("", "ANALYZE customers, addresses, exposures"),
)

CLEAR = "DROP TABLE staged_customers, latest_customers, wanted_addresses, latest_exposures"
