package events_test

// keptWalks are the requests about archives, replays, connections, API destinations and partners.
var keptWalks []walked
