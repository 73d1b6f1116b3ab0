package server

import "math"

// otherSettings are the keys that are known and do not make a Config of their
// own: what is read elsewhere, what has no effect here, and what refuse turns down. Listing
// them finds typos in them all the same.
func otherSettings() []setting {
	number := asInt(nil, math.MinInt)
	all := []setting{
		{"version", known{textShape}},
		{"validation.enabled", asBool(nil)},
		{"validation.manifests.indexes.platformlist[].architecture", known{textShape}},
		{"validation.manifests.indexes.platformlist[].os", known{textShape}},
		{"http.headers.*[]", known{textShape}},
		{"http.tls.letsencrypt.cachefile", asText(nil)},
		{"log.hooks[].disabled", asBool(nil)},
		{"log.hooks[].type", asText(nil)},
		{"log.hooks[].levels", asTexts(nil)},
		{"log.hooks[].options.smtp.addr", asText(nil)},
		{"log.hooks[].options.smtp.username", asText(nil)},
		{"log.hooks[].options.smtp.password", asSecret(nil)},
		{"log.hooks[].options.smtp.insecure", asBool(nil)},
		{"log.hooks[].options.from", asText(nil)},
		{"log.hooks[].options.to", asTexts(nil)},
		{"auth.silly.realm", asText(nil)},
		{"auth.silly.service", asText(nil)},
		{"policy.repository.classes", asTexts(nil)},
		{"compatibility.schema1.enabled", asBool(nil)},
		{"compatibility.schema1.signingkeyfile", asText(nil)},
		{"reporting.bugsnag.apikey", asSecret(nil)},
		{"reporting.bugsnag.releasestage", asText(nil)},
		{"reporting.bugsnag.endpoint", asText(nil)},
		{"reporting.newrelic.licensekey", asSecret(nil)},
		{"reporting.newrelic.name", asText(nil)},
		{"reporting.newrelic.verbose", asBool(nil)},
		{"redis.contexttimeoutenabled", asBool(nil)}, // always
		{"redis.unstableresp3", asBool(nil)},         // the client has no such option any more
		{"proxy.exec.command", asText(nil)},
		{"proxy.exec.lifetime", asDuration(nil)},
		{"proxy.ttl", asDuration(nil)},
		{"proxy.cachewritetimeout", asDuration(nil)},
		{"health.file[].file", asText(nil)},
		{"health.file[].interval", asDuration(nil)},
		{"health.file[].threshold", number},
		{"health.http[].uri", asText(nil)},
		{"health.http[].headers.*[]", asText(nil)},
		{"health.http[].statuscode", number},
		{"health.http[].timeout", asDuration(nil)},
		{"health.http[].interval", asDuration(nil)},
		{"health.http[].threshold", number},
		{"health.tcp[].addr", asText(nil)},
		{"health.tcp[].timeout", asDuration(nil)},
		{"health.tcp[].interval", asDuration(nil)},
		{"health.tcp[].threshold", number},
	}
	for _, kind := range []string{"registry", "repository", "storage"} {
		all = append(all, []setting{
			{"middleware." + kind + "[].name", asText(nil)},
			{"middleware." + kind + "[].disabled", asBool(nil)},
			{"middleware." + kind + "[].options", asFree()},
		}...)
	}
	for _, driver := range []string{"azure", "gcs", "inmemory", "oss", "swift"} {
		all = append(all, setting{"storage." + driver, asFree()})
	}
	return all
}
