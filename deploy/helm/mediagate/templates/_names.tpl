{{- define "mediagate.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "mediagate.tag" -}}
{{- default .Chart.AppVersion .Values.image.tag -}}
{{- end -}}

{{- define "mediagate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ include "mediagate.tag" . }}
{{- end -}}
{{- end -}}

{{- /* Which pods are meant: (dict "root" $ "component" "api"). A pool's component is worker-<pool>. */ -}}
{{- define "mediagate.selector" -}}
app.kubernetes.io/name: mediagate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "mediagate.labels" -}}
{{ include "mediagate.selector" . }}
app.kubernetes.io/version: {{ include "mediagate.tag" .root | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}
