// Two FHIR clients from npm, unmodified, against a running gateway.
// Usage: node npm_clients.mjs FOLDER BASE TOKEN   (FOLDER holds node_modules with fhir-kit-client
// and @medplum/core); output: JSON with what each of them found.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, base, token] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(folder), "package.json"));
const kitFolder = path.join(path.resolve(folder), "node_modules", "fhir-kit-client");
const kitPackage = JSON.parse(readFileSync(path.join(kitFolder, "package.json"), "utf-8"));
const kitMain = kitPackage.exports["."].import?.default ?? kitPackage.exports["."].import;
const { Client } = await import(pathToFileURL(path.join(kitFolder, kitMain)).href);
const { MedplumClient } = load("@medplum/core");

const kit = new Client({ baseUrl: `${base}/fhir`, customHeaders: { Authorization: `Bearer ${token}` } });
const found = {};

const statement = await kit.capabilityStatement();
found.kitTypes = statement.rest[0].resource.map((one) => one.type);
const smart = await kit.smartAuthMetadata();
found.kitTokenUrl = String(smart.tokenUrl ?? "");
let page = await kit.search({ resourceType: "RiskAssessment", searchParams: { _count: 1 } });
found.kitFirst = page.entry[0].resource.id;
page = await kit.nextPage({ bundle: page });
found.kitSecond = page.entry[0].resource.id;
const read = await kit.read({ resourceType: "RiskAssessment", id: found.kitFirst });
found.kitRead = read.id;
try {
  await kit.read({ resourceType: "RiskAssessment", id: "inf-none" });
} catch (error) {
  found.kitMissing = [error.response.status, error.response.data.resourceType];
}

const medplum = new MedplumClient({ baseUrl: `${base}/`, fhirUrlPath: "fhir", fetch });
medplum.setAccessToken(token);
found.medplumRead = (await medplum.readResource("RiskAssessment", found.kitFirst)).id;
found.medplumSearch = (await medplum.searchResources("RiskAssessment", "_count=2")).map((one) => one.id);
try {
  await medplum.readResource("RiskAssessment", "inf-none");
} catch (error) {
  found.medplumMissing = error.outcome.issue[0].code;
}
console.log(JSON.stringify(found));
