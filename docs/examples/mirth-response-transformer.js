// Response transformer of an HTTP Sender in Mirth (NextGen) Connect that asks careweir.
// The response's data types are Raw; queueing is on. Not run in Mirth.
//
// By itself an HTTP Sender queues everything from 400 up, for ever: a question that cannot be used
// would be sent again and again. Only what repeating can mend is queued here.

function fate(status, body) {
    if (status >= 200 && status < 300) return 'SENT';
    var answer = {};
    try { answer = JSON.parse(body); } catch (ignored) { answer = {}; }
    // No tool answered, and it is on the record: an answer. The same key would give it once more.
    if (answer.outcome === 'failed') return 'SENT';
    // Nothing was sent to any tool, or the first request with this key still runs: the same again.
    var again = [408, 429, 503];
    if (again.indexOf(status) >= 0 || answer.code === 'idempotency_key_in_use') return 'QUEUED';
    // Without an answer of ours (a proxy's 502 or 504) nobody knows: the key makes it safe.
    if (status >= 500 && !answer.code) return 'QUEUED';
    return 'ERROR'; // 401, 403, 409, 413, 422 and our own 500: a person mends it
}

if (typeof connectorMap !== 'undefined') {
    var line = String(connectorMap.get('responseStatusLine')); // "HTTP/1.1 200 OK"
    var decided = fate(parseInt(line.split(' ')[1], 10), String(response.getMessage()));
    responseStatus = { SENT: SENT, QUEUED: QUEUED, ERROR: ERROR }[decided];
    responseStatusMessage = 'careweir: ' + line;
}
