#!/usr/bin/env bash
# Fetches the clients and validators that are not from PyPI, as far as node, Java and Maven are here
# and their registries can be reached, and runs the tests that need them. The others skip.
# Usage: foreign.sh PYTHON
set -euo pipefail
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")"

if command -v node >/dev/null && command -v npm >/dev/null &&
    (cd npm && timeout 300 npm install --silent --no-package-lock --no-audit --no-fund \
        --fetch-retries=1 --fetch-timeout=60000); then
    export CAREWEIR_NPM_ORACLE="$PWD/npm" CAREWEIR_TEST_NPM_CLIENTS="$PWD/npm"
else
    echo "no node packages: their tests skip"
fi
if command -v java >/dev/null && command -v mvn >/dev/null &&
    timeout 300 mvn -q -B -f hl7/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/hl7/lib"; then
    export CAREWEIR_HL7_VALIDATOR="$PWD/hl7/lib"
else
    echo "no jars of HL7's validator: its tests skip"
fi

cd ../..
exec "$python" -m pytest tests/fhir/test_npm_oracle.py tests/clients/test_npm_clients.py \
    tests/clients/test_npm_validators.py tests/clients/test_hl7_validator.py
