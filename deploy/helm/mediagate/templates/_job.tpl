{{- /* A pod that runs one command of the CLI, before or after what it is about: everything it needs is in itself. */ -}}
{{- define "mediagate.jobPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "mediagate.podSecurity" . }}
{{- end -}}

{{- define "mediagate.jobContainer" -}}
{{ include "mediagate.containerImage" . }}
env:
  {{- range $name, $value := include "mediagate.config" . | fromYaml }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- include "mediagate.apiKeyEnv" . | nindent 2 }}
resources:
  {{- toYaml .Values.setup.resources | nindent 2 }}
{{ include "mediagate.containerSecurity" . }}
{{- end -}}
