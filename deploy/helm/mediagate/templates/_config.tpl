{{- /* Every variable that is no secret, the deployment's own last. */ -}}
{{- define "mediagate.config" -}}
{{- $own := dict
  "MEDIAGATE_ENVIRONMENT" .Values.environment
  "MEDIAGATE_SECRETS_DIR" "/run/secrets/mediagate"
  "MEDIAGATE_SHUTDOWN_GRACE" (.Values.shutdownGrace | toString)
  "TEMPORAL_ADDRESS" (required "temporal.address is needed: host:port of the Temporal frontend" .Values.temporal.address)
  "TEMPORAL_NAMESPACE" .Values.temporal.namespace
-}}
{{- if .Values.workers.versioning.enabled -}}
{{- $_ := set $own "MEDIAGATE_DEPLOYMENT" .Values.workers.versioning.deployment -}}
{{- end -}}
{{- if .Values.temporal.tls -}}
{{- $_ := set $own "TEMPORAL_TLS" "true" -}}
{{- end -}}
{{- range $name, $value := merge (deepCopy .Values.config) $own }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "mediagate.secretName" -}}
{{- required "existingSecret is needed: the Secret with mediagate_database_url and the others (docs/deploy.md)" .Values.existingSecret -}}
{{- end -}}

{{- /* Of one container, beside the ConfigMap. */ -}}
{{- define "mediagate.apiKeyEnv" -}}
{{- with .Values.temporal.apiKeySecret }}
{{- if .name }}
- name: TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- end -}}
